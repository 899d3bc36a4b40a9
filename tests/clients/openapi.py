"""Validates an OpenAPI document read from standard input and prints how much it describes."""
import json
import sys

from openapi_spec_validator import validate

document = json.load(sys.stdin)
validate(document)
operations = [method for path in document["paths"].values() for method in path if method in
              {"get", "put", "post", "patch", "delete"}]
assert document["openapi"].startswith("3.1"), document["openapi"]
print(f"openapi: {document['openapi']}, {len(document['paths'])} paths, {len(operations)} operations")

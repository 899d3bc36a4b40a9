// Runs in the browser: calls by name over gRPC-Web, with JSON for messages. The contract is a file
// descriptor set, so nothing is generated.
import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const contract = await fetch("contract.binpb").then((answer) => answer.arrayBuffer());
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, new Uint8Array(contract)));

function prepare({ url, token, service, method, request }) {
  const described = registry.getService(service);
  const { input, output, localName } = described.methods.find((candidate) => candidate.name === method);
  const call = createClient(described, createGrpcWebTransport({ baseUrl: url }))[localName];
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  return { call, headers, message: fromJson(input, request ?? {}, { registry }), json: (m) => toJson(output, m, { registry }) };
}

// `{ answer }`, or `{ code, message, details }` with details as { type: value }.
window.unary = (question) =>
  caught(async () => {
    const { call, headers, message, json } = prepare(question);
    return { answer: json(await call(message, { headers })) };
  });

// As unary, with the messages of the stream up to the first one whose JSON contains `until`.
window.stream = (question, until) =>
  caught(async () => {
    const { call, headers, message, json } = prepare(question);
    const stop = new AbortController();
    const answer = [];
    for await (const step of call(message, { headers, signal: stop.signal, timeoutMs: 30_000 })) {
      answer.push(json(step));
      if (JSON.stringify(answer.at(-1)).includes(until)) {
        stop.abort();
        return { answer };
      }
    }
    return { answer, ended: true };
  });

async function caught(call) {
  try {
    return await call();
  } catch (reason) {
    const error = ConnectError.from(reason);
    const details = {};
    for (const name of ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"]) {
      const schema = registry.getMessage(name);
      for (const detail of error.findDetails(schema)) details[name] = toJson(schema, detail, { registry });
    }
    return { code: Code[error.code], message: error.rawMessage, details };
  }
}

window.ready = true;

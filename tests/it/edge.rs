//! The edge: the running program as strangers meet it on its one port. Which database stands behind it makes no
//! difference to most of this, so most tests bring up the lighter pair only; those that need the database's part in it
//! (locks, what was written) run on both.
//!
//! # Pitfalls of gRPC and REST on one port
//!
//! | | what goes wrong elsewhere | here |
//! |---|---|---|
//! | 1 | the layer for gRPC-Web answers REST, probes and preflights with 400 | `wires::one_port_speaks_every_wire`, `browsers::only_configured_origins_pass_the_preflight` |
//! | 2 | content types are compared as a whole | `wires::content_types_may_have_parameters` |
//! | 3 | unknown paths answer 200 | `wires::unknown_paths_are_not_found_in_the_manner_of_the_wire` |
//! | 4 | JSON or GET at an rpc's path reaches its handler | `wires::an_rpc_takes_grpc_and_nothing_else`; cookies count from our pages only: `access::credential::a_cookie_needs_our_page` |
//! | 5 | deadlines are ignored | `deadlines::a_call_ends_at_the_clients_deadline`, `deadlines::a_call_ends_at_the_servers_deadline` |
//! | 6 | they end in CANCELLED, and leave streams alone | `deadlines::a_stream_ends_at_the_clients_deadline` |
//! | 7 | a drain waits for silent peers | `drain::silent_peers_do_not_hold_the_server`, `drain::what_is_open_finishes_after_sigterm`, `connections::a_peer_must_begin_to_speak` |
//! | 8 | the accept loop has no knobs | an accept loop of our own: `connections::a_peer_must_begin_to_speak`, `wires::one_port_speaks_every_wire` |
//! | 9 | dead and abusive HTTP/2 peers stay | `connections::a_dead_peer_is_noticed`, `connections::a_rapid_reset_ends_the_connection`, `connections::an_idle_client_stays` |
//! | 10 | sizes differ by wire, and OUT_OF_RANGE stands for too large | `limits::two_mebibytes_and_one_byte_are_too_much`; unpacked: `access::body::a_packed_message_is_unpacked_and_counted_unpacked`, `transcoding::a_compressed_bomb_is_refused` |
//! | 11 | raw bodies have no limit | `limits::two_mebibytes_and_one_byte_are_too_much`, `limits::a_delivery_is_limited_too` |
//! | 12 | load is shed per connection, probes too | `limits::overload_is_told_on_every_wire` |
//! | 13 | pages cannot read the status of an error | `browsers::a_page_reads_the_status_of_an_error`, `browsers::a_page_reads_the_errors_of_rest` |
//! | 14 | clients trip over statuses without messages | a real one, its version pinned: `clients::a_browser_on_another_origin_calls_and_streams` |
//! | 15 | reflection knows half | `wires::reflection_knows_everything_that_is_served` |
//! | 16 | the descriptors' library panics on editions | `transcoding::startup::every_file_of_the_contract_is_proto3` |
//! | 17 | JSON nests deeper than protobuf | `transcoding::requests::depth_is_refused_before_protobuf_fails_on_it` |
//! | 18 | routers know no verbs and decode too early | a router of our own: `transcode::router::a_literal_with_a_verb_owns_its_url`, `transcode::router::a_verb_follows_any_number_of_segments`, `transcoding::cases::every_conformance_case_holds` |
//! | 19 | TLS offers one protocol, plaintext hopes for an upgrade | `connections::tls_offers_both_protocols`, `wires::old_versions_and_upgrades_do_no_harm` |
//! | 20 | compression holds streams back and touches gRPC | `wires::rest_is_compressed_and_nothing_else`, `transcoding::requests::large_answers_are_compressed` |
//! | 21 | calls in process lose the client's address | `limits::the_clients_address_is_known_below`, `transcoding::requests::extensions_reach_the_service` |
//! | 22 | details outgrow the header list | `limits::the_details_of_an_error_are_bounded` |
//! | 23 | connections live for ever | `connections::an_old_connection_goes` |
//! | 24 | failures count as HTTP 200 | no stack is merged and no layer guesses: `metrics::requests_are_counted_by_wire_method_and_status` |
//!
//! # Rows of the transcoding table that need more than the fixture
//!
//! | | row | here |
//! |---|---|---|
//! | G11 | too many headers | `limits::headers_are_limited` |
//! | G14–G16 | reserved, binary and odd headers | `transcode::headers::reserved_names_never_pass_through_the_prefix`, `transcode::headers::binary_metadata_is_checked_and_odd_text_is_dropped` |
//! | G17 | `traceparent` | `traces::a_request_leaves_a_span` |
//! | G19 | metadata in trailers | `transcoding::requests::metadata_in_trailers_becomes_headers`; streams end with the status alone |
//! | G20 | `If-Match` | the contract has versions in its messages and no entity tags, so the header is not passed on; the mapping: `transcoding::requests::a_failed_precondition_is_412_for_conditional_requests` |
//! | G21 | `If-None-Match: *` on create | no test: creates take an id of the client's choice and answer ALREADY_EXISTS |
//! | G22 | deliveries signed over raw bytes | `verify::whatsapp_is_proven_by_the_signature_of_the_raw_body`; raw bodies over REST: `transcoding::cases::every_conformance_case_holds` |
//! | G28 | client streams with a binding | `transcoding::startup::every_mistake_of_the_table_is_refused` |
//! | G32 | a handler panics | `panics::a_panic_is_an_internal_error` |
//! | G33 | load is shed | `limits::overload_is_told_on_every_wire` |
//! | G34 | JSON at an rpc's path | `wires::an_rpc_takes_grpc_and_nothing_else` |
//! | G35 | gRPC-Web with a charset | `wires::content_types_may_have_parameters` |
//! | G36 | gRPC-Web in base64 | `wires::base64_may_arrive_in_pieces` |
//! | G37 | an error of gRPC-Web in headers | `browsers::a_page_reads_the_status_of_an_error` |
//! | G39 | HTTP/1.0, upgrade to h2c | `wires::old_versions_and_upgrades_do_no_harm` |
//!
//! The other rows are tests of the fixture, in `transcoding`, each with its number.

mod browsers;
mod client;
mod connections;
mod deadlines;
mod document;
mod drain;
mod limits;
mod metrics;
mod panics;
mod startup;
mod wires;

/// Every test that the tables above name exists.
#[test]
fn the_tables_name_tests_that_exist() {
    fn read(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    read(&root.join("src"), &mut sources);
    read(&root.join("tests/it"), &mut sources);
    let rows = include_str!("edge.rs").lines().filter(|line| line.starts_with("//! | "));
    let named: Vec<&str> = rows.flat_map(|row| row.split('`')).filter(|word| word.contains("::")).collect();
    assert!(named.len() > 50, "{}", named.len());
    let missing: Vec<&&str> = named
        .iter()
        .filter(|path| {
            let test = path.rsplit("::").next().unwrap_or_default();
            !sources.contains(&format!("fn {test}("))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

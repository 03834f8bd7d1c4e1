//! What HTTP clients meet before and around the API, as `PVE::APIServer::AnyEvent` does it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{Options, Sim, TimeScale, World};
use support::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROOT: &str =
    "Authorization: PVEAPIToken=root@pam!lab=11111111-2222-4333-8444-000000000001\r\n";

async fn sim() -> Sim {
    let time_scale = TimeScale::INSTANT;
    Sim::start(World::truth(), Options { time_scale, ..Options::default() }).await.unwrap()
}

/// Head and body of the answer to a request that ends its connection.
async fn ask(client: &Client, request: &str, headers: &str, body: &str) -> (String, String) {
    let text = format!("{request} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n{body}");
    let bytes = client.exchange(&text).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn content(kind: &str, body: &str) -> String {
    format!("{ROOT}Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())
}

#[tokio::test]
async fn refusals_of_the_http_layer() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    let chunked = format!("{ROOT}Transfer-Encoding: chunked\r\n");
    let long = format!("{ROOT}Content-Length: 524289\r\n");
    let json = content("application/json", "");
    for (request, headers, body, line, text) in [
        ("HEAD /api2/json/version", "", "", "501 method 'HEAD' not available", ""),
        ("OPTIONS /", "", "", "501 method 'OPTIONS' not available", ""),
        ("GET /api2", "", "", "501 no such uri", "no such uri"),
        ("GET /api2/JSON/version", "", "", "501 no such uri", "no such uri"),
        ("GET /api2/png/version", "", "", "401 No ticket", ""),
        (
            "GET /api2/png/version",
            ROOT,
            "",
            "501 no formatter for uri /version, png",
            "no formatter for uri /version, png",
        ),
        (
            "POST /api2/json/pools",
            &chunked,
            "0\r\n\r\n",
            "501 chunked transfer encoding not supported",
            "chunked transfer encoding not supported",
        ),
        (
            "GET /api2/json/version",
            &content("text/plain", "x"),
            "x",
            "501 Unexpected content for method 'GET'",
            "Unexpected content for method 'GET'",
        ),
        (
            "POST /api2/json/pools",
            &content("text/plain", "x"),
            "x",
            "506 upload 'Content-Type 'text/plain' not implemented",
            "upload 'Content-Type 'text/plain' not implemented",
        ),
        ("POST /api2/json/pools", &long, "", "501 for data too large", "for data too large"),
        (
            "GET /pve2/js/none.js",
            "",
            "",
            "500 no such file '/pve2/js/none.js'",
            "no such file '/pve2/js/none.js'\n",
        ),
    ] {
        let (head, found) = ask(&client, request, headers, body).await;
        assert_eq!(head.lines().next(), Some(format!("HTTP/1.1 {line}").as_str()), "{request}");
        assert_eq!(found, text, "{request}");
        assert!(head.contains("connection: close"), "{head}");
    }
    let (head, text) = ask(&client, "POST /api2/json/pools", &json, "").await;
    assert!(head.starts_with("HTTP/1.1 500 malformed JSON string"), "{head}");
    assert!(text.contains("offset 0 (before \"(end of string)\")"), "{text}");
    let (head, text) = ask(&client, "GET /", "", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && text.contains("simulator"), "{head}");
    sim.shutdown().await;
}

#[tokio::test]
async fn without_tls_one_is_sent_to_https() {
    let sim = sim().await;
    for (method, status) in [("GET", "301 Moved Permanently"), ("POST", "308 Permanent Redirect")] {
        let mut stream = tokio::net::TcpStream::connect(sim.addr()).await.unwrap();
        let request = format!("{method} /api2/json/version?a=b HTTP/1.1\r\nHost: pve:1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.contains("location: https://pve:1/api2/json/version?a=b\r\n"), "{text}");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn connections_are_kept_until_an_error_or_the_hundredth_request() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    let good = format!("GET /api2/json/version HTTP/1.1\r\nHost: h\r\n{ROOT}\r\n");
    let bad = format!("GET /api2/json/none HTTP/1.1\r\nHost: h\r\n{ROOT}\r\n");
    let answers = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).matches("HTTP/1.1 ").count();
    assert_eq!(answers(client.exchange(&format!("{good}{good}{bad}{good}")).await), 3);
    assert_eq!(answers(client.exchange(&good.repeat(101)).await), 100);
    // In the format of the web interface every error is a 200.
    let extjs = bad.replace("json", "extjs");
    assert_eq!(answers(client.exchange(&format!("{extjs}{good}{bad}")).await), 3);
    sim.shutdown().await;
}

#[tokio::test]
async fn long_answers_are_packed_for_who_takes_it() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    let packed = format!("{ROOT}Accept-Encoding: gzip\r\n");
    for (path, headers, encoded) in [
        ("/cluster/resources", packed.as_str(), true),
        ("/cluster/resources", ROOT, false),
        ("/version", packed.as_str(), false),
    ] {
        let (head, body) = ask(&client, &format!("GET /api2/json{path}"), headers, "").await;
        assert_eq!(head.contains("content-encoding: gzip"), encoded, "{path}");
        assert_eq!(body.starts_with("{\"data\":"), !encoded, "{path}");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn the_query_wins_over_the_body_and_must_not_contradict_the_path() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    let body = "vmid=100&vmid=101";
    let form = content("application/x-www-form-urlencoded", body);
    for (request, headers, body, part) in [
        ("GET /api2/json/nodes/pve1/version?node=pve1&_dc=1", ROOT, "", "\"data\":{"),
        ("GET /api2/json/nodes/pve1/version?node=pve2", ROOT, "", "with conflicting values!"),
        (
            "POST /api2/json/nodes/pve1/qemu?vmid=x",
            form.as_str(),
            body,
            "type check ('integer') failed - got 'x'",
        ),
        ("GET /api2/json//nodes//pve1/%76ersion/", ROOT, "", "\"data\":{"),
        ("GET /api2/htmljs/version", ROOT, "", "{&quot;data&quot;:{"),
    ] {
        let (_, text) = ask(&client, request, headers, body).await;
        assert!(text.contains(part), "{request}: {text}");
    }
    sim.shutdown().await;
}

/// `check_type` of what is no plain text, and what is named without a value.
#[tokio::test]
async fn values_that_are_no_plain_text() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    for (request, kind, body, status, part) in [
        ("POST /api2/json/pools", json, r#"{"poolid":"p","comment":null}"#, 200, ""),
        ("POST /api2/json/pools", form, "poolid", 400, r#""poolid":"property is missing"#),
        ("POST /api2/json/pools", form, "poolid=q&x", 400, r#""x":"property is not defined"#),
        (
            "POST /api2/json/pools",
            form,
            "poolid=q&poolid=q",
            400,
            r#""poolid":"type check ('string') failed - got ARRAY"#,
        ),
        (
            "POST /api2/json/pools",
            json,
            r#"{"poolid":true,"comment":{}}"#,
            400,
            r#"{"comment":"type check ('string') failed - got HASH","poolid":"type check ('string') failed - got JSON::PP::Boolean"}"#,
        ),
        ("PUT /api2/json/pools", form, "poolid=p&vms=100&vms=101&comment", 200, ""),
        ("PUT /api2/json/pools", json, r#"{"poolid":"p","vms":[102,"103"]}"#, 200, ""),
        ("PUT /api2/json/pools", json, r#"{"poolid":"p","vms":[102,103],"delete":true}"#, 200, ""),
        ("PUT /api2/json/pools", form, "poolid=p&vms=101", 500, "VM 101 is already a pool member"),
        ("GET /api2/json/cluster/resources?type", form, "", 200, ""),
        (
            "GET /api2/json/nodes/pve1/tasks?limit=1&limit=2",
            form,
            "",
            400,
            "type check ('integer') failed - got ARRAY",
        ),
        (
            "GET /api2/json/nodes/pve1/syslog?since=now",
            form,
            "",
            400,
            r#""since":"value does not match the regex pattern""#,
        ),
        (
            "GET /api2/json/nodes/pve1/disks/smart?disk=sda",
            form,
            "",
            400,
            r#""disk":"value does not match the regex pattern""#,
        ),
        (
            "POST /api2/json/nodes/pve1/vzdump",
            form,
            "all=1&fleecing=1&performance=max-workers=0&job-id=a%20b",
            400,
            r#"{"fleecing":"invalid format - 'storage' parameter is required when 'enabled' is set\n","job-id":"value does not match the regex pattern","#,
        ),
        (
            "POST /api2/json/nodes/pve1/qemu/100/migrate",
            form,
            "target=pve2&migration_network=10.0.0.1",
            400,
            r#""migration_network":"invalid format - value does not look like a valid CIDR network\n""#,
        ),
        (
            "GET /api2/json/pools?type",
            form,
            "",
            400,
            r#""poolid":"missing property required by 'type'""#,
        ),
    ] {
        let headers = if body.is_empty() { ROOT.to_owned() } else { content(kind, body) };
        let (head, text) = ask(&client, request, &headers, body).await;
        let line = head.lines().next().unwrap();
        assert!(line.contains(&format!(" {status} ")), "{request} {body}: {line} {text}");
        assert!(text.contains(part), "{request} {body}: {text}");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn what_the_asked_node_answers_by_itself() {
    let sim = sim().await;
    let client = Client::new(sim.addr());
    for (request, headers, status) in [
        ("GET /api2/json/nodes/nosuch/apt", ROOT, 200),
        ("GET /api2/json/nodes/nosuch/scan", ROOT, 200),
        ("GET /api2/json/nodes/nosuch/status", ROOT, 500),
        // Without a login only the very path is open.
        ("GET /api2/json/access/domains", "", 200),
        ("GET /api2/json/access/domains/", "", 401),
    ] {
        let (head, _) = ask(&client, request, headers, "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    }
    // A total of none is not told.
    let path = "GET /api2/json/nodes/pve1/tasks?typefilter=none";
    assert_eq!(ask(&client, path, ROOT, "").await.1, r#"{"data":[]}"#);
    sim.shutdown().await;
}

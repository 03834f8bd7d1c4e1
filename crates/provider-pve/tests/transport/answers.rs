//! What goes over the wire, and what comes back.

use pvx_provider_pve::client::{ApiError, ApiPath, Request, Stats};
use serde_json::json;

use crate::server::{Reply, SECRET, Server, data};

#[tokio::test]
async fn a_read_unwraps_data_and_sends_the_token() {
    let server = Server::start(|_| data(&json!({ "version": "9.2.11" }))).await;
    let client = server.client();
    let request = Request::get("/cluster/resources").parameter("type", "vm");
    let answer: serde_json::Value = client.get(&request).await.unwrap();
    assert_eq!(answer["version"], "9.2.11");
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "GET");
    assert_eq!(seen.target, "/api2/json/cluster/resources?type=vm");
    assert!(seen.head.contains(&format!("authorization: PVEAPIToken=pvx@pve!cli={SECRET}\r\n")));
    assert_eq!(seen.body, "");
}

#[tokio::test]
async fn a_form_survives_what_proxmox_splits_at() {
    let server = Server::start(|_| data(&json!(null))).await;
    let path = ApiPath::new("/nodes/{}/qemu/{}/config", &[&"pve1", &100]);
    let request = Request::put(path)
        .parameter("boot", "order=scsi0;net0")
        .parameter("description", "a+b & c\nd")
        .parameter("sshkeys", "ssh-ed25519%20AAAA%2B");
    assert_eq!(server.client().send(&request).await.unwrap(), json!(null));
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/api2/json/nodes/pve1/qemu/100/config")
    );
    assert!(seen.head.contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert_eq!(
        seen.body,
        "boot=order%3Dscsi0%3Bnet0&description=a%2Bb%20%26%20c%0Ad\
         &sshkeys=ssh-ed25519%2520AAAA%252B"
    );
}

#[tokio::test]
async fn a_delete_has_its_parameters_in_the_query_and_no_body() {
    let upid = "UPID:pve1:00000F36:0008633E:6B034FBF:qmdestroy:4000:root@pam!lab:";
    let server = Server::start(move |_| data(&json!(upid))).await;
    let path = ApiPath::new("/nodes/{}/qemu/{}", &[&"pve1", &4000]);
    let request = Request::delete(path).flag("purge", true);
    assert_eq!(server.client().send(&request).await.unwrap(), json!(upid));
    let seen = &server.seen()[0];
    assert_eq!(seen.target, "/api2/json/nodes/pve1/qemu/4000?purge=1");
    assert_eq!(seen.body, "");
    assert!(!seen.head.contains("content-type"), "{}", seen.head);
}

#[tokio::test]
async fn the_reason_phrase_is_kept_when_the_body_is_empty() {
    let server = Server::start(|seen| match seen.nth {
        0 => Reply::Answer(401, "Authentication failed!", String::new()),
        _ => Reply::Answer(500, "no options specified", String::new()),
    })
    .await;
    let client = server.client();
    let error = client.send(&Request::put("/nodes/pve1/qemu/1/config")).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Unauthorized { reason, .. } if reason == "Authentication failed!"),
        "{error}"
    );
    let error = client.send(&Request::put("/nodes/pve1/qemu/1/config")).await.unwrap_err();
    let text = "PUT /nodes/pve1/qemu/1/config (node pve1): refused (500 no options specified)";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn an_answer_of_another_shape_says_so_and_nothing_of_its_content() {
    let server = Server::start(|seen| match seen.nth {
        0 => data(&json!("hunter2")),
        1 => Reply::Answer(200, "OK", "<html>hunter2</html>".to_owned()),
        _ => Reply::Answer(200, "OK", String::new()),
    })
    .await;
    let client = server.client();
    for _ in 0..2 {
        let error = client.get::<Vec<u32>>(&Request::get("/nodes")).await.unwrap_err();
        assert!(matches!(error, ApiError::Decode { .. }), "{error}");
        assert!(error.to_string().contains("GET /nodes"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let nothing = client.send(&Request::post("/x")).await.unwrap();
    assert_eq!(nothing, serde_json::Value::Null);
    let error = client.get::<u32>(&Request::get("/nodes")).await.unwrap_err();
    assert!(error.to_string().contains("status 200, 0 bytes"), "{error}");
}

#[tokio::test]
async fn a_write_whose_answer_cannot_be_read_may_have_happened() {
    let server = Server::start(|_| Reply::Answer(200, "OK", "{\"data\":".to_owned())).await;
    let error = server.client().send(&Request::post("/x")).await.unwrap_err();
    assert!(matches!(error, ApiError::Decode { .. }) && error.is_outcome_unknown(), "{error}");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_not_sent() {
    let server = Server::start(|_| data(&json!(null))).await;
    let request = Request::delete(ApiPath::new("/nodes/{}/qemu/{}", &[&"pve1", &""]));
    let error = server.client().send(&request).await.unwrap_err();
    assert!(matches!(error, ApiError::Invalid { .. }), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn requests_and_bytes_are_counted() {
    let server = Server::start(|_| data(&json!(1))).await;
    let client = server.client();
    let _: u32 = client.get(&Request::get("/a").parameter("k", "v")).await.unwrap();
    client.clone().send(&Request::post("/b").parameter("key", "v")).await.unwrap();
    let stats = client.stats();
    assert_eq!(stats, Stats { requests: 2, writes: 1, bytes_in: 20, bytes_out: 8 });
}

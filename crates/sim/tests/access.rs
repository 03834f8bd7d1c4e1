//! Users, tokens, groups, roles, the ACL, logins and pools: scripts of requests and the answers
//! that `pve-access-control` and `PVE::API2::Pool` give.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use pvx_sim::{Guest, Options, Sim, TimeScale, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, encode};

/// The world `truth` with guest 100, and its people.
struct Cluster {
    sim: Sim,
    client: Client,
}

impl Cluster {
    async fn start() -> Self {
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let mut world = World::truth();
        for (vmid, node) in [(100, "pve1"), (101, "pve2")] {
            world.add_guest(Guest::new(vmid, node, &[("name", "web")]));
        }
        let sim = Sim::start(world, options).await.unwrap();
        Self { client: Client::new(sim.addr()), sim }
    }

    /// `METHOD /path`, with a form for writes.
    async fn call(&self, who: &Who, request: &str, form: &str) -> Answer {
        let (method, path) = request.split_once(' ').unwrap();
        let kind =
            if matches!(method, "POST" | "PUT") { "application/x-www-form-urlencoded" } else { "" };
        self.client.raw(who, method, path, kind, form).await
    }

    /// Requests in order, each with what comes: `200`, or status and reason; a 400 with its errors.
    async fn play(&self, steps: &[(&Who, &str, &str, &str)]) {
        for (who, request, form, expected) in steps {
            let answer = self.call(who, request, form).await;
            assert_eq!(brief(&answer), *expected, "{request} {form}");
        }
    }

    async fn data(&self, who: &Who, request: &str) -> Value {
        let answer = self.call(who, request, "").await;
        assert_eq!(answer.status, 200, "{request}: {answer:?}");
        answer.body["data"].clone()
    }

    /// Logs in; ticket and CSRF token as headers.
    async fn login(&self, user: &str, password: &str) -> Who {
        let form = format!("username={}&password={}", encode(user), encode(password));
        let answer = self.call(&nobody(), "POST /access/ticket", &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        with_ticket(&answer.body["data"])
    }

    async fn root(&self) -> Who {
        self.login("root@pam", "truth-root").await
    }
}

fn with_ticket(data: &Value) -> Who {
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    let cookie = format!("PVEAuthCookie={}", encode(&text("ticket")));
    let headers = vec![
        ("Cookie".to_owned(), cookie),
        ("CSRFPreventionToken".to_owned(), text("CSRFPreventionToken")),
    ];
    Who { headers }
}

fn nobody() -> Who {
    Who { headers: Vec::new() }
}

fn admin() -> Who {
    Who::token("admin@pve!adm", "11111111-2222-4333-8444-000000000006")
}

fn pvx() -> Who {
    Who::token("pvx@pve!cli", "11111111-2222-4333-8444-000000000002")
}

fn viewer() -> Who {
    Who::token("viewer@pve!ro", "11111111-2222-4333-8444-000000000004")
}

fn powerless() -> Who {
    Who::token("nobody@pve!none", "11111111-2222-4333-8444-000000000005")
}

/// Status and reason; of a 400 the errors by parameter instead; the whole text when it has more
/// than one line.
fn brief(answer: &Answer) -> String {
    if answer.status == 200 {
        return "200".to_owned();
    }
    if let Some(errors) = answer.body["errors"].as_object() {
        let lines: Vec<String> = errors
            .iter()
            .map(|(name, text)| format!("{name}: {}", text.as_str().unwrap().trim_end()))
            .collect();
        return format!("{} {}", answer.status, lines.join("; "));
    }
    let message = answer.body["message"].as_str().unwrap_or(&answer.reason).trim_end();
    format!("{} {}", answer.status, message.replace('\n', " / "))
}

#[tokio::test]
async fn users() {
    let cluster = Cluster::start().await;
    let (root, admin, pvx) = (cluster.root().await, admin(), pvx());
    cluster
        .play(&[
            (&admin, "POST /access/groups", "groupid=ops&comment=Those+on+call", "200"),
            (
                &admin,
                "POST /access/groups",
                "groupid=ops",
                "500 create group failed: group 'ops' already exists",
            ),
            (
                &admin,
                "POST /access/groups",
                "groupid=a+b",
                "400 groupid: invalid format - group name 'a b' contains invalid characters",
            ),
            (&admin, "POST /access/users", "", "500 user name '' is too short"),
            (
                &root,
                "POST /access/users",
                "",
                "400 userid: property is missing and it is not optional",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=bad",
                "500 value 'bad' does not look like a valid user name",
            ),
            (
                &root,
                "POST /access/users",
                "userid=bad",
                "400 userid: invalid format - value 'bad' does not look like a valid user name",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=a@pve&password=short",
                "400 password: value must be at least 8 characters long",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=a@pve&email=nonsense",
                "400 email: invalid format - value does not look like a valid email address",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=a@pve&groups=none",
                "500 create user failed: no such group 'none'",
            ),
            (&admin, "GET /access/users/a@pve", "", "500 no such user ('a@pve')"),
            (
                &admin,
                "POST /access/users",
                "userid=x@pam&password=long-enough",
                "500 create user failed: change password failed: user 'x' does not exist",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=x@ldap&password=long-enough",
                "500 create user failed: auth domain 'ldap' does not exist",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=a@pve&groups=ops&password=long-enough&firstname=Ann&expire=0",
                "200",
            ),
            (
                &admin,
                "POST /access/users",
                "userid=a@pve",
                "500 create user failed: user 'a@pve' already exists",
            ),
            (
                &admin,
                "PUT /access/users/a@pve",
                "append=1",
                "400 groups: missing property required by 'append'",
            ),
            (&admin, "PUT /access/users/a@pve", "comment=hello&enable=0", "200"),
            (&admin, "PUT /access/users/b@pve", "comment=x", "500 no such user ('b@pve')"),
            (
                &root,
                "PUT /access/users/b@pve",
                "comment=x",
                "500 update user failed: no such user ('b@pve')",
            ),
            (
                &pvx,
                "PUT /access/users/a@pve",
                "comment=x",
                "403 Permission check failed (/access/groups, User.Modify)",
            ),
            (
                &pvx,
                "PUT /access/users/a@pve",
                "groups=ops",
                "403 Permission check failed (/access/groups/ops, User.Modify)",
            ),
            (&powerless(), "GET /access/users/a@pve", "", "403 Permission check failed"),
            (
                &pvx,
                "DELETE /access/users/a@pve",
                "",
                "403 Permission check failed (/access/realm/pve, Realm.AllocateUser)",
            ),
        ])
        .await;
    let user = cluster.data(&admin, "GET /access/users/a@pve").await;
    assert_eq!(
        user,
        json!({ "enable": 0, "expire": 0, "email": "", "firstname": "Ann", "comment": "hello",
                "groups": ["ops"], "tokens": null })
    );
    let group = cluster.data(&admin, "GET /access/groups/ops").await;
    assert_eq!(group, json!({ "members": ["a@pve"], "comment": "Those on call" }));
    let groups = cluster.data(&admin, "GET /access/groups").await;
    assert_eq!(groups, json!([{ "groupid": "ops", "users": "a@pve", "comment": "Those on call" }]));
    let disabled = cluster.data(&admin, "GET /access/users?enabled=0&full=1").await;
    assert_eq!(disabled.as_array().unwrap().len(), 1);
    assert_eq!(
        (&disabled[0]["groups"], &disabled[0]["realm-type"]),
        (&json!("ops"), &json!("pve"))
    );
    // A token sees its user only with a right to; a ticket sees its own.
    assert_eq!(cluster.data(&powerless(), "GET /access/users").await, json!([]));
    cluster
        .play(&[
            (&admin, "DELETE /access/groups/ops", "", "200"),
            (
                &admin,
                "DELETE /access/groups/ops",
                "",
                "500 delete group failed: group 'ops' does not exist",
            ),
            (&admin, "GET /access/groups/ops", "", "500 group 'ops' does not exist"),
            (&admin, "DELETE /access/users/a@pve", "", "200"),
            (&admin, "DELETE /access/users/a@pve", "", "500 no such user ('a@pve')"),
            (&root, "DELETE /access/users/a@pve", "", "200"),
            (&root, "DELETE /access/users/root@pam", "", "200"),
            (&root, "GET /access/users/root@pam", "", "200"),
        ])
        .await;
}

#[tokio::test]
async fn tokens() {
    let cluster = Cluster::start().await;
    let (root, admin) = (cluster.root().await, admin());
    let path = "/access/users/nobody@pve/token";
    let request = |method: &str, rest: &str| format!("{method} {path}{rest}");
    let created =
        cluster.call(&admin, &request("POST", "/t1"), "comment=c&expire=1900000000").await;
    let data = &created.body["data"];
    assert_eq!(data["info"], json!({ "privsep": 1, "expire": "1900000000", "comment": "c" }));
    assert_eq!(data["full-tokenid"], "nobody@pve!t1");
    let own = Who::token("nobody@pve!t1", data["value"].as_str().unwrap());
    assert_eq!(cluster.call(&own, "GET /version", "").await.status, 200);
    let acl = "path=/vms&roles=PVEVMUser&tokens=nobody@pve!t1";
    cluster
        .play(&[
            (&admin, &request("POST", "/t1"), "", "400 tokenid: Token already exists."),
            (&admin, &request("POST", "/1"), "", "400 tokenid: value does not match the regex pattern"),
            (&admin, "POST /access/users/none@pve/token/t1", "", "403 Permission check failed"),
            (&admin, &request("GET", "/t2"), "", "500 no such token 't2' for user 'nobody@pve'"),
            (&admin, &request("PUT", "/t2"), "", "500 no such token 't2' for user 'nobody@pve'"),
            (&admin, &request("DELETE", "/t2"), "", "500 no such token 't2' for user 'nobody@pve'"),
            // A token is not the user itself.
            (&own, &request("GET", ""), "", "403 Permission check failed"),
            (&admin, "PUT /access/acl", acl, "200"),
            (&admin, "PUT /access/acl", "path=/&roles=PVEAuditor&tokens=nobody@pve!no", "500 ACL update failed: no such token 'no' for user 'nobody@pve'"),
            (&admin, "PUT /access/acl", "path=/&roles=PVEAuditor&tokens=nobody@pve", "400 tokens: invalid format - value 'nobody@pve' does not look like a valid token ID"),
            (&admin, &request("PUT", "/t1"), "delete=expire", "500 updating token info failed: 400 Parameter verification failed. / delete: unknown option 'expire'"),
        ])
        .await;
    let changed =
        cluster.call(&admin, &request("PUT", "/t1"), "delete=comment&privsep=0&regenerate=1").await;
    let data = &changed.body["data"];
    assert_eq!(
        (&data["privsep"], &data["expire"], &data["comment"]),
        (&json!("0"), &json!(1_900_000_000), &Value::Null)
    );
    assert_eq!(cluster.call(&own, "GET /version", "").await.reason, "Authentication failed!");
    let own = Who::token("nobody@pve!t1", data["value"].as_str().unwrap());
    assert_eq!(cluster.call(&own, "GET /version", "").await.status, 200);
    let listed = cluster.data(&root, &request("GET", "")).await;
    let tokens = json!([
        { "tokenid": "none", "privsep": 0, "expire": 0 },
        { "tokenid": "t1", "privsep": 0, "expire": 1_900_000_000 },
    ]);
    assert_eq!(listed, tokens);
    cluster
        .play(&[
            (&admin, &request("PUT", "/t1"), "expire=1", "200"),
            (&own, "GET /version", "", "401 Authentication failed!"),
            (&admin, &request("PUT", "/t1"), "expire=0", "200"),
            (&own, "GET /version", "", "200"),
            (&admin, "PUT /access/users/nobody@pve", "enable=0", "200"),
            (&own, "GET /version", "", "401 Authentication failed!"),
            (&admin, "PUT /access/users/nobody@pve", "enable=1&expire=1", "200"),
            (&own, "GET /version", "", "401 Authentication failed!"),
            (&admin, "PUT /access/users/nobody@pve", "expire=0", "200"),
            (&admin, &request("DELETE", "/t1"), "", "200"),
            (&own, "GET /version", "", "401 Authentication failed!"),
        ])
        .await;
    // Its permissions went with it.
    let acl = cluster.data(&root, "GET /access/acl").await;
    assert!(!acl.as_array().unwrap().iter().any(|entry| entry["ugid"] == "nobody@pve!t1"));
}

#[tokio::test]
async fn roles() {
    let cluster = Cluster::start().await;
    let (admin, pvx) = (admin(), pvx());
    cluster
        .play(&[
            (&admin, "POST /access/roles", "roleid=pveMine", "400 roleid: cannot use role ID starting with the (case-insensitive) 'PVE' namespace"),
            (&admin, "POST /access/roles", "roleid=Administrator", "500 create role failed: role 'Administrator' already exists"),
            (&admin, "POST /access/roles", "roleid=a/b", "400 roleid: invalid format - role name 'a/b' contains invalid characters"),
            (&admin, "POST /access/roles", "roleid=Mine&privs=VM.Audit+VM.Clone", "200"),
            (&admin, "PUT /access/roles/Mine", "privs=Sys.Audit&append=1", "200"),
            (&admin, "PUT /access/roles/Mine", "append=1", "400 privs: missing property required by 'append'"),
            (&admin, "PUT /access/roles/PVEAdmin", "privs=", "500 auto-generated role 'PVEAdmin' cannot be modified"),
            (&admin, "DELETE /access/roles/PVEAdmin", "", "500 auto-generated role 'PVEAdmin' cannot be deleted"),
            (&admin, "PUT /access/roles/None", "privs=", "500 update role failed: role 'None' does not exist"),
            (&admin, "GET /access/roles/None", "", "500 role 'None' does not exist"),
            (&pvx, "DELETE /access/roles/Mine", "", "200"),
            (&powerless(), "POST /access/roles", "roleid=X", "403 Permission check failed (/access, Sys.Modify)"),
        ])
        .await;
    let all = cluster.data(&powerless(), "GET /access/roles").await;
    let special: Vec<&Value> =
        all.as_array().unwrap().iter().filter(|role| role["special"] == 1).collect();
    assert_eq!((all.as_array().unwrap().len(), special.len()), (18, 17));
    let template = special.iter().find(|role| role["roleid"] == "PVETemplateUser").unwrap();
    assert_eq!(template["privs"], "VM.Audit,VM.Clone");
}

#[tokio::test]
async fn the_acl() {
    let cluster = Cluster::start().await;
    let (admin, pvx) = (admin(), pvx());
    cluster
        .play(&[
            (&admin, "PUT /access/acl", "path=/vms/100&roles=PVEVMUser", "400 groups: either 'users', 'groups' or 'tokens' is required.; tokens: either 'users', 'groups' or 'tokens' is required.; users: either 'users', 'groups' or 'tokens' is required."),
            (&admin, "PUT /access/acl", "path=/none&roles=PVEVMUser&users=nobody@pve", "400 path: invalid ACL path '/none'"),
            (&admin, "PUT /access/acl", "path=/vms/99&roles=PVEVMUser&users=nobody@pve", "400 path: invalid ACL path '/vms/99'"),
            (&admin, "PUT /access/acl", "path=/none&roles=PVEVMUser&users=nobody@pve&delete=1", "200"),
            (&admin, "PUT /access/acl", "path=/a%20b&roles=PVEVMUser&users=nobody@pve", "400 path: invalid ACL path '/a b'"),
            (&admin, "PUT /access/acl", "roles=PVEVMUser&users=nobody@pve", "400 path: property is missing and it is not optional"),
            (&pvx, "PUT /access/acl", "roles=PVEVMUser&users=nobody@pve", "403 Permission check failed (/-, Permissions.Modify)"),
            (&admin, "PUT /access/acl", "path=/vms&roles=None&users=nobody@pve", "500 ACL update failed: role 'None' does not exist"),
            (&admin, "PUT /access/acl", "path=/vms&roles=PVEVMUser&users=none@pve", "500 ACL update failed: user 'none@pve' does not exist"),
            (&admin, "PUT /access/acl", "path=/vms&roles=PVEVMUser&groups=none", "500 ACL update failed: group 'none' does not exist"),
            (&admin, "PUT /access/acl", "path=vms//100/&roles=PVEVMUser&users=nobody@pve&propagate=0", "200"),
            // VM.Allocate is enough to hand out what one has oneself.
            (&pvx, "PUT /access/acl", "path=/&roles=PVEVMUser&users=nobody@pve", "403 Permission check failed (/, Permissions.Modify)"),
            (&pvx, "PUT /access/acl", "path=/vms/101&roles=PVETemplateUser&users=nobody@pve", "200"),
            (&pvx, "PUT /access/acl", "path=/vms/101&roles=Administrator&users=nobody@pve", "500 ACL update failed: 400 Parameter verification failed. / role: Cannot add role 'Administrator' - requires 'Permissions.Modify' or superset of privileges."),
            (&pvx, "PUT /access/acl", "path=/vms/101&roles=NoAccess&users=nobody@pve&delete=1", "500 ACL update failed: 400 Parameter verification failed. / role: Cannot remove role 'NoAccess' - requires 'Permissions.Modify'"),
            (&viewer(), "PUT /access/acl", "path=/vms/101&roles=PVETemplateUser&users=nobody@pve", "403 Permission check failed (/vms/101, Permissions.Modify|VM.Allocate)"),
            (&viewer(), "PUT /access/acl", "path=/storage/local&roles=PVEAuditor&users=nobody@pve", "403 Permission check failed (/storage/local, Permissions.Modify|Datastore.Allocate)"),
            (&viewer(), "PUT /access/acl", "path=/pool/x&roles=PVEAuditor&users=nobody@pve", "403 Permission check failed (/pool/x, Permissions.Modify|Pool.Allocate)"),
            (&powerless(), "GET /nodes/pve1/qemu/100/config", "", "200"),
            (&powerless(), "GET /nodes/pve2/qemu/101/config", "", "200"),
            (&powerless(), "GET /nodes/pve1/qemu/102/config", "", "403 Permission check failed (/vms/102, VM.Audit)"),
        ])
        .await;
    let mine = cluster.data(&powerless(), "GET /access/permissions").await;
    let paths: Vec<&String> = mine.as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/vms/100", "/vms/101"]);
    assert_eq!(mine["/vms/100"]["VM.PowerMgmt"], 0);
    assert_eq!(mine["/vms/101"], json!({ "VM.Audit": 1, "VM.Clone": 1 }));
    // The list shows what one may change, or all with Sys.Audit on /access.
    assert_eq!(cluster.data(&powerless(), "GET /access/acl").await, json!([]));
    let all = cluster.data(&viewer(), "GET /access/acl").await;
    let entry = json!({ "path": "/vms/100", "type": "user", "ugid": "nobody@pve", "roleid": "PVEVMUser", "propagate": 0 });
    assert!(all.as_array().unwrap().contains(&entry));
    cluster
        .play(&[
            (
                &powerless(),
                "GET /access/permissions?userid=pvx@pve",
                "",
                "403 Permission check failed (/access, Sys.Audit)",
            ),
            (&viewer(), "GET /access/permissions?userid=pvx@pve!cli&path=/vms", "", "200"),
            (
                &viewer(),
                "GET /access/permissions?userid=a:b",
                "",
                "400 userid: value does not match the regex pattern",
            ),
        ])
        .await;
    // Who is missing has nothing.
    let none = cluster.data(&viewer(), "GET /access/permissions?userid=gone@pve&path=/vms").await;
    assert_eq!(none, json!({ "/vms": {} }));
}

#[tokio::test]
async fn logins() {
    let cluster = Cluster::start().await;
    let (root, admin) = (cluster.root().await, admin());
    let failed = "401 authentication failure";
    let login = "POST /access/ticket";
    let taken = "403 Permission check failed (URI '/access/ticket' not available with API token, need proper ticket. / )";
    cluster
        .play(&[
            (&admin, "POST /access/users", "userid=ann@pve&password=long-enough", "200"),
            (&nobody(), login, "username=ann@pve&password=long-enough", "200"),
            (&nobody(), login, "username=ann&realm=pve&password=long-enough", "200"),
            (&nobody(), login, "username=ann@pve&realm=pve&password=long-enough", failed),
            (&nobody(), login, "username=ann&password=long-enough", failed),
            (&nobody(), login, "username=ann@pve&password=wrong", failed),
            (&nobody(), login, "username=gone@pve&password=wrong", failed),
            (&nobody(), login, "username=nobody@pve&password=x", failed),
            (
                &nobody(),
                login,
                "username=ann@pve",
                "400 password: property is missing and it is not optional",
            ),
            (
                &nobody(),
                login,
                "username=ann@pve&password=x&path=/",
                "400 privs: missing property required by 'path'",
            ),
            (&nobody(), login, "username=ann@pve&password=long-enough&otp=1", failed),
            (
                &nobody(),
                login,
                "username=ann@pve&password=long-enough&path=/vms&privs=VM.Audit",
                failed,
            ),
            (
                &nobody(),
                login,
                "username=root@pam&password=truth-root&path=/vms&privs=VM.Audit",
                "200",
            ),
            (&admin, login, "username=ann@pve&password=long-enough", taken),
            (&nobody(), "GET /access/ticket", "", "200"),
            (&nobody(), "GET /access/domains", "", "200"),
            (&nobody(), "GET /access/domains/pve", "", "401 No ticket"),
            (&viewer(), "GET /access/domains/pve", "", "200"),
            (&viewer(), "GET /access/domains/x1", "", "500 domain 'x1' does not exist"),
            (
                &powerless(),
                "GET /access/domains/pve",
                "",
                "403 Permission check failed (/access/realm, Realm.Allocate|Sys.Audit)",
            ),
            (&viewer(), "GET /access/tfa", "", "200"),
            (&viewer(), "GET /access/tfa/ann@pve/x", "", "404 No such tfa entry 'x'"),
            (
                &admin,
                "PUT /access/password",
                "userid=ann@pve&password=long-enough",
                &taken.replace("/ticket", "/password"),
            ),
            (&root, "PUT /access/password", "userid=ann@pve&password=another-one", "200"),
            (
                &root,
                "PUT /access/password",
                "userid=gone@pve&password=another-one",
                "500 no such user ('gone@pve')",
            ),
            (&nobody(), login, "username=ann@pve&password=long-enough", failed),
        ])
        .await;
    let ann = cluster.login("ann@pve", "another-one").await;
    cluster
        .play(&[
            (
                &ann,
                "PUT /access/password",
                "userid=ann@pve&password=yet-another",
                "400 confirmation-password: password is required to modify user",
            ),
            (
                &ann,
                "PUT /access/password",
                "userid=ann@pve&password=yet-another&confirmation-password=wrong",
                "500 invalid credentials",
            ),
            (
                &ann,
                "PUT /access/password",
                "userid=ann@pve&password=yet-another&confirmation-password=another-one",
                "200",
            ),
            (
                &ann,
                "PUT /access/password",
                "userid=pvx@pve&password=yet-another",
                "403 Permission check failed (/access/realm/pve, Realm.AllocateUser)",
            ),
            (&ann, "GET /access/users/ann@pve/token", "", "200"),
            (&ann, "POST /access/users/ann@pve/token/t1", "privsep=0", "200"),
        ])
        .await;
    let own = cluster.data(&ann, "GET /access/users").await;
    assert_eq!(own[0]["userid"], "ann@pve");
}

#[tokio::test]
async fn tickets() {
    let cluster = Cluster::start().await;
    let root = cluster.root().await;
    let answer = cluster
        .call(&nobody(), "POST /access/ticket", "username=root@pam&password=truth-root")
        .await;
    let data = &answer.body["data"];
    assert_eq!((&data["username"], &data["clustername"]), (&json!("root@pam"), &json!("pvelab")));
    assert_eq!(data["cap"]["dc"]["Sys.Audit"], 1);
    assert_eq!(data["cap"]["vms"]["Permissions.Modify"], 1);
    let ticket = data["ticket"].as_str().unwrap();
    // A ticket renews itself, and root's makes tickets for others.
    for user in ["root@pam", "pvx@pve"] {
        let form = format!("username={user}&password={}", encode(ticket));
        let renewed = cluster.call(&nobody(), "POST /access/ticket", &form).await;
        assert_eq!(renewed.body["data"]["username"], user, "{renewed:?}");
    }
    let cookie_only = Who { headers: root.headers[..1].to_vec() };
    let in_header =
        Who { headers: vec![("Authorization".to_owned(), format!("PVEAuthCookie={ticket}"))] };
    let broken = Who { headers: vec![("Cookie".to_owned(), format!("PVEAuthCookie={ticket}x"))] };
    cluster
        .play(&[
            (&cookie_only, "GET /version", "", "200"),
            (&in_header, "GET /version", "", "200"),
            (
                &cookie_only,
                "POST /pools",
                "poolid=p1",
                "401 Permission denied - invalid csrf token",
            ),
            (&broken, "GET /version", "", "401 Authentication failed!"),
            (&root, "POST /pools", "poolid=p1", "200"),
            (&root, "GET /no/such", "", "501 Method 'GET /no/such' not implemented"),
            (&nobody(), "GET /no/such", "", "401 No ticket"),
        ])
        .await;
}

#[tokio::test]
async fn pools() {
    let cluster = Cluster::start().await;
    let (root, admin, pvx, see) = (cluster.root().await, admin(), pvx(), viewer());
    cluster
        .play(&[
            (&powerless(), "POST /pools", "poolid=p1", "403 Permission check failed (/pool/p1, Pool.Allocate)"),
            (&powerless(), "POST /pools", "", "403 Permission check failed (/pool/-, Pool.Allocate)"),
            (&pvx, "POST /pools", "poolid=1p", "500 create pool failed: pool name must start with a letter"),
            (&pvx, "POST /pools", "poolid=a/b", "500 create pool failed: parent 'a' of pool 'a/b' does not exist"),
            (&pvx, "POST /pools", "poolid=a/b/c/d", "400 poolid: invalid format - pool name 'a/b/c/d' nested too deeply (max levels = 3)"),
            (&root, "POST /pools", "poolid=a+b", "400 poolid: invalid format - pool name 'a b' contains invalid characters"),
            (&pvx, "POST /pools", "poolid=a&comment=Top", "200"),
            (&pvx, "POST /pools", "poolid=a/b", "200"),
            (&pvx, "PUT /pools", "poolid=a/b&vms=100,101&storage=shared", "200"),
            (&pvx, "PUT /pools", "poolid=a/b&vms=100", "500 update pools failed: VM 100 is already a pool member"),
            (&pvx, "PUT /pools/a", "vms=100", "500 update pools failed: VM 100 belongs already to pool 'a/b' and 'allow-move' is not set"),
            (&pvx, "PUT /pools/a", "vms=100&allow-move=1&comment=", "200"),
            (&pvx, "PUT /pools/a", "vms=102&delete=1", "500 update pools failed: VM 102 is not a pool member"),
            (&pvx, "PUT /pools/a", "storage=shared&delete=1", "500 update pools failed: Storage 'shared' is not a pool member"),
            (&pvx, "PUT /pools/a", "vms=99", "400 vms: invalid format - value does not look like a valid VM ID"),
            (&pvx, "PUT /pools/none", "comment=x", "500 update pools failed: pool 'none' does not exist"),
            (&pvx, "DELETE /pools/a", "", "500 delete pool failed: pool 'a' is not empty (contains pool 'a/b')"),
            (&pvx, "DELETE /pools?poolid=a/b", "", "500 delete pool failed: pool 'a/b' is not empty (contains VM 101)"),
            (&pvx, "GET /pools/a%2Fb", "", "501 Method 'GET /pools/a/b' not implemented"),
            (&see, "GET /pools?type=qemu", "", "400 poolid: missing property required by 'type'"),
            (&powerless(), "GET /pools/a", "", "403 Permission check failed (/pool/a, Pool.Audit)"),
            (&see, "GET /pools/none", "", "500 pool 'none' does not exist"),
        ])
        .await;
    assert_eq!(
        cluster.data(&see, "GET /pools").await,
        json!([{ "poolid": "a" }, { "poolid": "a/b" }])
    );
    let one = cluster.data(&see, "GET /pools?poolid=a/b&type=storage").await;
    assert_eq!(
        (&one[0]["poolid"], &one[0]["members"][0]["storage"]),
        (&json!("a/b"), &json!("shared"))
    );
    let ids = |pool: &Value| -> Vec<String> {
        pool["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&one[0]), ["storage/pve1/shared"]);
    assert_eq!(ids(&cluster.data(&see, "GET /pools/a").await), ["qemu/100"]);
    let listed = cluster.data(&see, "GET /cluster/resources?type=vm").await;
    assert_eq!(listed[0]["pool"], "a");
    let all = cluster.data(&see, "GET /cluster/resources").await;
    let pools: Vec<&Value> =
        all.as_array().unwrap().iter().filter(|item| item["type"] == "pool").collect();
    assert_eq!(
        pools,
        [
            &json!({ "id": "/pool/a", "pool": "a", "type": "pool" }),
            &json!({ "id": "/pool/a/b", "pool": "a/b", "type": "pool" })
        ]
    );
    // Rights on a pool are rights on what is in it; those on a pool hold for the pools below.
    cluster
        .play(&[
            (&admin, "PUT /access/acl", "path=/pool/a&roles=PVEVMUser&users=nobody@pve", "200"),
            (&powerless(), "GET /nodes/pve1/qemu/100/config", "", "200"),
            (&powerless(), "GET /nodes/pve2/qemu/101/config", "", "200"),
            (&admin, "PUT /access/acl", "path=/pool/a/b&roles=NoAccess&users=nobody@pve", "200"),
            (
                &powerless(),
                "GET /nodes/pve2/qemu/101/config",
                "",
                "403 Permission check failed (/vms/101, VM.Audit)",
            ),
        ])
        .await;
    let seen = cluster.data(&powerless(), "GET /cluster/resources?type=vm").await;
    let seen: Vec<(&Value, &Value)> =
        seen.as_array().unwrap().iter().map(|guest| (&guest["vmid"], &guest["pool"])).collect();
    assert_eq!(seen, [(&json!(100), &Value::Null)]);
    cluster
        .play(&[
            (&powerless(), "PUT /pools/a", "vms=101", "403 Permission check failed (/pool/a, Pool.Allocate)"),
            (&admin, "PUT /access/acl", "path=/pool/a&roles=PVEPoolAdmin&users=nobody@pve", "200"),
            (&powerless(), "PUT /pools/a", "vms=102", "500 update pools failed: 403 Permission check failed (/vms/102, Permissions.Modify|VM.Allocate)"),
            // Guests that do not exist can be members, and do not keep a pool.
            (&root, "PUT /pools/a", "vms=555", "200"),
            (&root, "PUT /pools/a", "vms=100&delete=1", "200"),
            (&root, "PUT /pools", "poolid=a/b&vms=101&storage=shared&delete=1", "200"),
            (&root, "DELETE /pools?poolid=a/b", "", "200"),
            (&root, "DELETE /pools?poolid=a", "", "200"),
            (&root, "DELETE /pools?poolid=a", "", "500 delete pool failed: pool 'a' does not exist"),
        ])
        .await;
    let acl = cluster.data(&root, "GET /access/acl").await;
    assert!(acl.as_array().unwrap().iter().all(|entry| entry["ugid"] != "nobody@pve"));
}

#[tokio::test]
async fn consoles_have_tickets() {
    let cluster = Cluster::start().await;
    let (admin, path) = (admin(), "/nodes/pve1/qemu/100");
    let asked = cluster.call(&admin, &format!("POST {path}/termproxy"), "").await;
    let data = &asked.body["data"];
    assert_eq!((&data["user"], &data["port"]), (&json!("admin@pve!adm"), &json!(5900)));
    let screen = cluster.call(&admin, &format!("POST {path}/vncproxy"), "websocket=1").await;
    let password = screen.body["data"]["password"].as_str().unwrap();
    assert!(
        screen.body["data"]["ticket"].as_str().unwrap().starts_with(&format!("{password}:PVEVNC:"))
    );
    let form = |path: &str, port: &str| {
        let ticket = encode(data["ticket"].as_str().unwrap());
        format!("authid=admin@pve!adm&vncticket={ticket}&path={path}&privs=VM.Console&port={port}")
    };
    let failed = "401 authentication failure";
    let (check, missing) = ("POST /access/vncticket", format!("POST {path}9/termproxy"));
    cluster
        .play(&[
            (&nobody(), check, &form("/vms/100", "5900"), "200"),
            (&nobody(), check, &form("/vms/101", "5900"), failed),
            (&nobody(), check, &form("/vms/100", "5901"), failed),
            (&viewer(), &missing, "", "403 Permission check failed (/vms/1009, VM.Console)"),
            (
                &admin,
                &missing,
                "",
                "500 Configuration file 'nodes/pve1/qemu-server/1009.conf' does not exist",
            ),
        ])
        .await;
}

#[tokio::test]
async fn without_quorum_user_cfg_cannot_be_written() {
    let cluster = Cluster::start().await;
    let root = cluster.root().await;
    cluster.play(&[(&root, "POST /access/groups", "groupid=g1", "200")]).await;
    cluster.sim.edit(|world| {
        world.set_node_online("pve2", false);
        world.set_node_online("pve3", false);
    });
    let lock = "cfs-lock 'file-user_cfg' error: no quorum!";
    let cases = [
        ("POST /access/users", "userid=nq@pve", "create user failed"),
        ("PUT /access/users/pvx@pve", "comment=x", "update user failed"),
        ("DELETE /access/users/pvx@pve", "", "delete user failed"),
        ("POST /access/users/pvx@pve/token/t9", "", "generating token failed"),
        ("POST /access/groups", "groupid=g2", "create group failed"),
        ("POST /access/roles", "roleid=R2", "create role failed"),
        ("PUT /access/acl", "path=/&roles=PVEAuditor&users=pvx@pve", "ACL update failed"),
        ("POST /pools", "poolid=nq", "create pool failed"),
    ];
    for (request, form, what) in cases {
        cluster.play(&[(&root, request, form, &format!("500 {what}: {lock}"))]).await;
    }
    // Reads and logins go on, and so do checks that come before the lock.
    cluster
        .play(&[
            (&root, "GET /access/users", "", "200"),
            (
                &root,
                "DELETE /access/roles/PVEAdmin",
                "",
                "500 auto-generated role 'PVEAdmin' cannot be deleted",
            ),
            (&nobody(), "POST /access/ticket", "username=root@pam&password=truth-root", "200"),
        ])
        .await;
}

#[tokio::test]
async fn realms() {
    let cluster = Cluster::start().await;
    let (root, admin, see) = (cluster.root().await, admin(), viewer());
    let ldap = "realm=corp&type=ldap&server1=ldap.example.com&base_dn=dc=example";
    cluster
        .play(&[
            (&see, "POST /access/domains", "", "403 Permission check failed (/access/realm, Realm.Allocate)"),
            (&admin, "POST /access/domains", "realm=corp", "400 type: property is missing and it is not optional"),
            (&admin, "POST /access/domains", "realm=pam&type=pam", "500 add auth server failed: domain 'pam' already exists"),
            (&admin, "POST /access/domains", "realm=corp&type=pve", "500 add auth server failed: unable to create builtin type 'pve'"),
            (&admin, "POST /access/domains", ldap, "500 add auth server failed: missing value for required option 'user_attr'"),
            (&admin, "POST /access/domains", "realm=corp&type=openid&issuer-url=https://x&client-id=y&port=1", "500 add auth server failed: unexpected property 'port'"),
            (&admin, "POST /access/domains", "realm=corp&type=openid&check-connection=1", "500 add auth server failed: 'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"),
            (&admin, "POST /access/domains", "realm=corp&type=ldap&server1=a..b", "400 server1: invalid format - value does not look like a valid address: a..b"),
            (&admin, "POST /access/domains", "realm=corp&type=ldap&server1=ldap.example.com&base_dn=x&user_attr=uid&port=389&default=1&comment=Corp&password=x", "200"),
            (&admin, "PUT /access/domains/corp", "", "500 update auth server failed: no options specified"),
            (&admin, "PUT /access/domains/corp", "comment", "500 update auth server failed: got undefined value for option 'comment'"),
            (&admin, "PUT /access/domains/corp", "port=0", "400 port: value must have a minimum value of 1"),
            (&admin, "PUT /access/domains/corp", "port=390&delete=comment", "200"),
            (&admin, "PUT /access/domains/corp", "digest=abc&port=1", "500 update auth server failed: detected modified configuration - file changed by other user? Try again."),
            (&admin, "PUT /access/domains/none", "comment=x", "500 update auth server failed: cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Domains.pm line 261."),
            (&admin, "PUT /access/domains/pve", "comment=Own", "200"),
            (&admin, "POST /access/domains/pve/sync", "", "500 Cannot sync realm type 'pve'! Only LDAP/AD realms can be synced."),
            (&admin, "POST /access/domains/none/sync", "", "400 realm: Realm does not exist."),
            (&admin, "POST /access/users", "userid=a@corp&password=12345678", "500 create user failed: can't set password on auth type 'ldap'"),
            (&admin, "POST /access/users", "userid=a@corp", "200"),
            (&admin, "DELETE /access/domains/none", "", "500 delete auth server failed: authentication domain 'none' does not exist"),
        ])
        .await;
    // Empty fields at the end of a line of `user.cfg` are none.
    assert_eq!(
        cluster.data(&admin, "GET /access/users/a@corp").await,
        json!({ "enable": 1, "expire": 0, "groups": [], "tokens": null })
    );
    let mut corp = cluster.data(&see, "GET /access/domains/corp").await;
    let digest = corp.as_object_mut().unwrap().remove("digest").unwrap();
    assert_eq!(digest.as_str().map(str::len), Some(40));
    assert_eq!(
        corp,
        json!({ "type": "ldap", "server1": "ldap.example.com", "base_dn": "x", "user_attr": "uid",
                "port": 390, "default": 1 })
    );
    assert_eq!(
        cluster.data(&nobody(), "GET /access/domains").await,
        json!([
            { "realm": "corp", "type": "ldap", "default": 1 },
            { "realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication" },
            { "realm": "pve", "type": "pve", "comment": "Own" },
        ])
    );
    cluster
        .play(&[
            (&admin, "DELETE /access/domains/corp", "", "200"),
            (&admin, "DELETE /access/domains/pve", "", "200"),
            (&see, "GET /access/domains/corp", "", "500 domain 'corp' does not exist"),
            // Second factors are nothing that tokens change.
            (&admin, "POST /access/tfa/ann@pve", "type=recovery", "403 Permission check failed (URI '/access/tfa/ann@pve' not available with API token, need proper ticket. / )"),
            (&root, "DELETE /access/tfa/pvx@pve/x", "", "500 no such entry"),
            (&root, "POST /access/tfa/pvx@pve", "type=none", "400 type: value 'none' does not have a value in the enumeration 'totp, u2f, webauthn, recovery, yubico'"),
        ])
        .await;
    let pve = cluster.data(&see, "GET /access/domains/pve").await;
    assert_eq!(pve["comment"], "Proxmox VE authentication server");
}

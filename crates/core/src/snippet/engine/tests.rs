use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::document::{LoadOptions, load};
use crate::snippet::{File, files};

/// The guest of a standalone VM with this template as its user data.
fn guest(template: &str) -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let document = "name: web\nip: 10.0.0.5/24\ngateway: 10.0.0.1\nsearchdomain: lab.example\n\
        disk: 10G\ncloudinit: {user: ops, ssh_keys: [ssh-ed25519 AAAA a, ssh-ed25519 BBBB b]}\n";
    std::fs::write(folder.path().join("web.yaml"), document).unwrap();
    let options = LoadOptions {
        paths: vec!["web.yaml".into()],
        working_dir: folder.path().to_owned(),
        ..LoadOptions::default()
    };
    let loaded = load(&options);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let mut guest = loaded.desired.guests().next().unwrap().clone();
    let text = Arc::from(template);
    let template = Template { text, ..Template::named("web.yaml.j2".to_owned()) };
    guest.spec.cloudinit.templates.insert(Part::User, template);
    guest
}

fn text(template: &str) -> Result<String, String> {
    let guest = guest(template);
    let template = &guest.spec.cloudinit.templates[&Part::User];
    render(Part::User, template, &guest, "pve1").map_err(|error| error.to_string())
}

#[test]
fn what_a_template_may_use() {
    let all = "{{ name }} {{ fqdn }} {{ profile }} {{ node }} {{ user }} {{ ip }}/{{ prefix }} \
        {{ gateway }} {{ searchdomain }} {{ tags|join(',') }}\n\
        {% for key in ssh_keys %}\n- {{ key|tojson }}\n{% endfor %}\n\
        {% if ip6 is none %}\nno v6\n{% endif %}\n";
    insta::assert_snapshot!(text(all).unwrap(), @r#"
    web web.lab.example vm pve1 ops 10.0.0.5/24 10.0.0.1 lab.example pvx-vm.web
    - "ssh-ed25519 AAAA a"
    - "ssh-ed25519 BBBB b"
    no v6
    "#);
}

#[test]
fn nothing_is_escaped_and_the_last_line_keeps_its_end() {
    assert_eq!(text("a: '<&>'\n{{ '<&>' }}\n").unwrap(), "a: '<&>'\n<&>\n");
}

#[test]
fn what_is_wrong_has_its_line() {
    let table = [
        "a\n{{ nmae }}\n",
        "a\n\n  {{ ip6 }}\n",
        "a\n{% if %}",
        "{% for i in range(100000) %}{{ i }}{% endfor %}",
        "{% include 'x' %}",
        "{{ 'x'|nosuch }}",
        "{{ var.x }}",
    ];
    let messages: Vec<_> = table.into_iter().map(|template| text(template).unwrap_err()).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn cloud_config_must_be_yaml() {
    assert!(text("a: [\n").is_ok(), "not said to be YAML");
    let plain = text("#cloud-config\na: 1\nb: [\n").unwrap_err();
    assert!(plain.starts_with("web.yaml.j2:"), "{plain}");
    assert!(plain.contains("is not YAML"), "{plain}");
    let template = "#cloud-config\n{% for n in [1, 2] %}\n- x\n{% endfor %}\nb: c\n";
    let error = text(template).unwrap_err();
    assert!(error.starts_with("web.yaml.j2:5: line 4 of what it renders to"), "{error}");
}

#[test]
fn a_file_larger_than_proxmox_reads_is_refused() {
    let line = "x".repeat(1 << 10);
    let big = format!("{{% for i in range(1100) %}}{line}{{% endfor %}}");
    assert!(text(&big).unwrap_err().contains("at most 1 MiB"));
}

/// A value of a variable may be a secret, whatever minijinja says about it.
#[test]
fn messages_hold_no_values() {
    let mut guest = guest("#cloud-config\n{{ var.secret }}\n");
    let secret = "*canary-7f3a: [";
    guest.spec.cloudinit.extra.0.insert("var".to_owned(), json!({ "secret": secret }));
    assert!(!format!("{:?}", guest.spec).contains("canary"));
    for template in [
        "#cloud-config\na: {{ var.secret }}\n",
        "{{ var.secret|int }}",
        "{{ nosuch(var.secret) }}",
        "{{ [1][var.secret] }}",
        "{{ {}[var.secret].x }}",
    ] {
        let template = Template { text: Arc::from(template), ..Template::named("t".to_owned()) };
        if let Err(error) = render(Part::User, &template, &guest, "pve1") {
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}

#[test]
fn the_name_holds_the_content() {
    let of = |template: &str, node: &str| -> Vec<File> { files(&guest(template), node).unwrap() };
    let one = of("a: {{ name }}\n", "pve1");
    assert_eq!(one, of("a: {{ name }}\n", "pve2"));
    assert_ne!(one, of("b: {{ name }}\n", "pve1"));
    assert_ne!(of("{{ node }}", "pve1"), of("{{ node }}", "pve2"));
    insta::assert_snapshot!(one[0].volid(), @"local:snippets/pvx-vm-web-user-f10c8a3f8701.yaml");
    assert!(one[0].name.contains(&one[0].sha256[..12]));
}

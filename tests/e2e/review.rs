//! A plan for review: as Markdown, as a page, as a graph and as JSON with its schema.

use serde_json::Value;

use crate::environment::{Environment, check_plan};

const PROFILE: &str = "
name: web
type: generic
template: debian-13
tags: [web]
nodes:
  controlplane: { count: 2, name_prefix: front, start_vmid: 1100, cores: 2 }
  workers: { count: 3, name_prefix: back, start_vmid: 1200, cores: 2, depends_on: [controlplane] }
";

/// Five guests that run, and documents that want one more, one less and more cores.
fn changed() -> Environment {
    let environment = Environment::new();
    environment.pvx(&["init", "."]).expect(0);
    std::fs::remove_file(environment.path("clusters/demo.yaml")).unwrap();
    environment.write("clusters/web.yaml", PROFILE);
    environment.sim(&["apply", "--yes"]).expect(0);
    let profile = PROFILE.replace("count: 2, name_prefix: front", "count: 3, name_prefix: front");
    let profile = profile.replace("start_vmid: 1100, cores: 2", "start_vmid: 1100, cores: 4");
    let profile = profile.replace("count: 3, name_prefix: back", "count: 2, name_prefix: back");
    environment.write("clusters/web.yaml", &profile);
    environment
}

#[test]
fn markdown_is_a_comment() {
    let run = changed().sim(&["plan", "--format", "markdown", "--detailed-exitcode"]).expect(2);
    assert!(run.stdout.starts_with("<!-- pvx-plan cluster="), "{}", run.stdout);
    for part in [
        "1 to create, 2 to change, 1 to destroy",
        "Dearest effect: **data loss**",
        "| `+` | `web/front03` | 1102 |",
        "| `~` | `web/front01` | 1100 |",
        "| `-` | `web/back03` | 1202 |",
        "| `cores` | `2` | `4` | pending",
    ] {
        assert!(run.stdout.contains(part), "no {part} in\n{}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn html_is_one_page() {
    let environment = changed();
    let mut run = environment.sim(&["plan", "--format", "html"]).expect(0);
    run.stdout = run.stdout.replace("&#x2f;", "/");
    assert!(
        run.stdout.starts_with("<!DOCTYPE html>") && run.stdout.trim_end().ends_with("</html>")
    );
    for part in ["default-src 'none'", "<h3>web/front03</h3>", "<svg ", "prefers-color-scheme"] {
        assert!(run.stdout.contains(part), "no {part} in\n{}", run.stdout);
    }
}

#[test]
fn problems_of_the_plan_are_in_it_and_the_exit_code_says_so() {
    let environment = changed();
    let profile =
        environment.read("clusters/web.yaml").replace("template: debian-13", "template: debian-99");
    environment.write("clusters/web.yaml", &profile);
    for (format, part) in [("markdown", "- **problem**"), ("html", "<li class=\"problem\">")] {
        let mut run = environment.sim(&["plan", "--format", format]).expect(1);
        run.stdout = run.stdout.replace("&#x2f;", "/");
        assert!(run.stdout.contains("debian-99") && run.stdout.contains(part), "{}", run.stdout);
        assert!(run.stdout.contains("clusters/web.yaml:4"), "{}", run.stdout);
    }
}

#[test]
fn errors_of_documents_go_to_standard_error() {
    let environment = changed();
    environment.write("clusters/web.yaml", "name: web\nnodes: 5\n");
    for format in ["markdown", "html"] {
        let run = environment.sim(&["plan", "--format", format]).expect(1);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("web.yaml"), "{}", run.stderr);
    }
}

#[test]
fn graphs_in_every_format() {
    let environment = changed();
    let graph = |format: &str| environment.sim(&["graph", "--format", format]).expect(0).stdout;
    let svg = environment.sim(&["graph"]).expect(0).stdout;
    assert_eq!(svg, graph("svg"));
    assert!(svg.starts_with("<?xml") && svg.contains("web/front03"), "{svg}");
    assert!(graph("dot").starts_with("digraph pvx {"));
    assert!(graph("mermaid").starts_with("flowchart LR\n"));
    let json: Value = serde_json::from_str(&graph("json")).unwrap();
    let nodes = json["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["verb"] == "clone" && node["address"] == "web/front03"));
    assert!(!json["edges"].as_array().unwrap().is_empty());
    let removal = environment.sim(&["graph", "--destroy", "--format", "mermaid"]).expect(0).stdout;
    assert!(removal.contains("destroy") && !removal.contains("clone"), "{removal}");
}

#[test]
fn a_format_that_a_command_does_not_have_is_refused() {
    let environment = changed();
    for (args, help) in [
        (["apply", "--format", "markdown"], "`pvx plan --format markdown` is for review"),
        (["status", "--format", "html"], "`pvx plan --format html` is for review"),
        (["plan", "--format", "svg"], "`pvx graph --format svg` draws a plan"),
        (["graph", "--format", "html"], "it has human, svg, dot, mermaid, json"),
    ] {
        let run = environment.sim(&args).expect(1);
        let said = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("this command has no format") && said.contains(help), "{said}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_plan_is_as_its_schema_says() {
    let environment = changed();
    let (_, plan) = environment.sim_json(&["plan"]);
    check_plan(&plan);
    let schema = environment.pvx(&["schema", "plan"]).expect(0).stdout;
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["properties"]["version"]["const"], plan["version"]);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    assert!(!validator.is_valid(&serde_json::json!({ "version": plan["version"] })));
}

#[test]
fn schemas_are_listed_and_written() {
    let environment = Environment::new();
    let list = environment.pvx(&["schema"]).expect(0).stdout;
    let run = environment.pvx(&["schema", "--out", "schemas", "--format", "json"]).expect(0);
    let written: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(written["written"].as_array().unwrap().len(), 7);
    for (kind, file) in [
        ("config", "cluster-config"),
        ("events", "events"),
        ("cluster", "cluster"),
        ("vm", "vm"),
        ("policy", "policy"),
        ("plan", "plan"),
        ("world", "world"),
    ] {
        assert!(list.contains(kind), "{list}");
        let one = environment.pvx(&["schema", kind]).expect(0).stdout;
        assert_eq!(environment.read(&format!("schemas/{file}.schema.json")), one);
    }
    let world = environment.pvx(&["sim", "schema"]).expect(0).stdout;
    assert_eq!(environment.read("schemas/world.schema.json"), world);
    environment.pvx(&["schema", "vm", "--out", "x"]).expect(1);
}

/// `init` names schemas that are there, by a path that begins at the document's folder.
#[test]
fn new_documents_name_their_schemas() {
    let environment = Environment::new();
    environment.pvx(&["init", "without"]).expect(0);
    assert!(!environment.read("without/cluster-config.yaml").contains("yaml-language-server"));
    environment.pvx(&["schema", "--out", "with/schemas"]).expect(0);
    environment.pvx(&["init", "with"]).expect(0);
    for (file, schema) in [
        ("cluster-config.yaml", "schemas/cluster-config.schema.json"),
        ("clusters/demo.yaml", "../schemas/cluster.schema.json"),
    ] {
        let first = environment.read(&format!("with/{file}")).lines().next().unwrap().to_owned();
        assert_eq!(first, format!("# yaml-language-server: $schema={schema}"));
        let folder = environment.path(&format!("with/{file}"));
        assert!(folder.parent().unwrap().join(schema).is_file());
    }
    environment
        .pvx(&["validate", "with/clusters", "--config", "with/cluster-config.yaml"])
        .expect(0);
}

#[test]
fn schemas_have_names_and_can_be_used() {
    let environment = Environment::new();
    environment.pvx(&["schema", "--out", "schemas"]).expect(0);
    for file in ["cluster-config", "cluster", "vm", "world", "plan"] {
        let schema = environment.read(&format!("schemas/{file}.schema.json"));
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let id = schema["$id"].as_str().unwrap();
        assert!(id.starts_with("urn:pvx:schema:"), "{file}");
        jsonschema::draft202012::new(&schema).unwrap();
    }
}

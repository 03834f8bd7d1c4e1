//! Broken documents: each gives a clear error with its place, exit code 1, and no request that
//! writes. Rendered errors are golden in `pvx-core`; here it is the program as a whole.

use crate::environment::Environment;

const GOOD: &str = "name: lab\ntype: generic\ntemplate: debian-13\ntags: [lab]\nnodes:\n  \
    controlplane: { count: 1, cores: 1, memory: 512, start_vmid: 1000 }\n";

/// What it is, the documents, and words that the error must have.
type Case = (&'static str, Vec<(&'static str, String)>, &'static str);

fn cases() -> Vec<Case> {
    let one = |text: String| vec![("clusters/lab.yaml", text)];
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, previous) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e"), ("g", "f")]
    {
        let list = vec![format!("*{previous}"); 10].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    vec![
        ("bad key", one(GOOD.replace("cores", "cors")), "cors"),
        ("wrong type", one(GOOD.replace("count: 1", "count: many")), "count"),
        ("duplicate key", one(GOOD.replace("type: generic", "type: generic\ntype: talos")), "type"),
        ("outside the range", one(GOOD.replace("1000", "50000")), "50000"),
        (
            "two profiles that overlap",
            vec![
                ("clusters/lab.yaml", GOOD.to_owned()),
                ("clusters/two.yaml", GOOD.replace("name: lab", "name: two")),
            ],
            "1000",
        ),
        (
            "unknown node",
            vec![
                ("cluster-config.yaml", CONFIG.to_owned()),
                (
                    "clusters/lab.yaml",
                    GOOD.replace(
                        "start_vmid: 1000",
                        "assignments: [{ name: a, node: pve9, vmid: 1000 }]",
                    ),
                ),
            ],
            "pve9",
        ),
        ("missing template", one(GOOD.replace("debian-13", "debian-99")), "debian-99"),
        (
            "count below assignments",
            one(GOOD
                .replace("count: 1", "count: 3")
                .replace("start_vmid: 1000", "assignments: [{ name: a, vmid: 1000 }]")),
            "1 assignment",
        ),
        ("alias bomb", one(bomb), "alias"),
        ("not YAML", one("{{{ nope".to_owned()), "lab.yaml"),
    ]
}

const CONFIG: &str = "cluster:\n  name: lab\n  nodes:\n    - { name: pve1, host: pve1.lab.example }\n\
    vmid_ranges: { templates: 100-999, vms: 1000-9999 }\n";

#[test]
fn each_is_refused_before_anything_is_written() {
    for (what, files, words) in cases() {
        let environment = Environment::new();
        for (name, text) in &files {
            environment.write(name, text);
        }
        for command in [vec!["plan"], vec!["apply", "--yes"]] {
            let run = environment.sim(&[command.as_slice(), &["-v", "clusters"]].concat());
            let said = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 1, "{what}: {said}");
            assert!(said.contains(words), "{what}: {said}");
            assert!(said.contains(".yaml:"), "{what} has no place: {said}");
            // Errors in documents end the command before the cluster is even asked.
            let asked = run.stderr.contains("that write)");
            assert!(!asked || run.stderr.contains("(0 that write)"), "{what}: {said}");
        }
    }
}

#[test]
fn errors_are_json_when_asked() {
    let environment = Environment::new();
    environment.write("clusters/lab.yaml", &GOOD.replace("cores", "cors"));
    let (code, value) = environment.sim_json(&["validate", "clusters"]);
    assert_eq!(code, 1);
    let place = &value["diagnostics"][0]["labels"][0]["position"];
    assert_eq!((place["line"].as_u64(), place["column"].as_u64()), (Some(6), Some(29)), "{value}");
}

#[test]
fn a_huge_file_is_refused_by_its_size() {
    let environment = Environment::new();
    environment.write("clusters/lab.yaml", GOOD);
    let file =
        std::fs::File::options().write(true).open(environment.path("clusters/lab.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    let run = environment.pvx(&["validate", "clusters"]).expect(1);
    assert!(run.stderr.contains("MiB"), "{}", run.stderr);
}

/// `clusters` and `vms` are looked for without being named: one of them may be empty, not both.
#[test]
fn one_of_the_usual_folders_may_be_empty() {
    let environment = Environment::new();
    for folder in ["clusters", "vms"] {
        std::fs::create_dir(environment.path(folder)).unwrap();
    }
    environment.pvx(&["validate"]).expect(1);
    environment.write("vms/web.yaml", "name: web\nnode: pve1\nmemory: 512\ntemplate: debian-13\n");
    environment.pvx(&["validate"]).expect(0);
    environment.pvx(&["validate", "clusters", "vms"]).expect(1);
}

//! Snippets that a script writes over SSH: storages list them, cloud-init and hook scripts use
//! them, and a guest that names one that is not there does not start.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

#[path = "support/nodes.rs"]
mod nodes;

use nodes::{Nodes, play};

const FOLDER: &str = "/var/lib/vz/snippets";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_volume() {
    let Some(nodes) = Nodes::truth().await else { return };
    let list = "pvesm list local --content snippets | awk 'NR>1 {print $1, $2, $3, $4}'";
    let sum = nodes.run("echo '#cloud-config' | sha256sum | cut -c1-64").await.out;
    assert_eq!(sum.len(), 65, "{sum}");
    let [dir, tmp] = [FOLDER, "/var/lib/vz/snippets/.x.yaml.new"];
    play(
        &nodes,
        &[
            (&format!("test -d {dir} && mkdir -p {dir} && ls {dir}"), 0, "", ""),
            (list, 0, "", ""),
            (&format!("umask 077; echo '#cloud-config' | (cat > {tmp}) && chmod 640 {tmp} && mv -f {tmp} {dir}/x.yaml"), 0, "", ""),
            (list, 0, "local:snippets/x.yaml snippet snippets 14\n", ""),
            (&format!("sha256sum {dir}/x.yaml | cut -c1-64"), 0, &sum, ""),
            (&format!("sha256sum -- {dir}/x.yaml {dir}/none.yaml 2>/dev/null | wc -l"), 0, "1\n", ""),
            ("pvesm path local:snippets/x.yaml", 0, "/var/lib/vz/snippets/x.yaml\n", ""),
            ("pvesm path local:snippets/none.yaml", 0, "/var/lib/vz/snippets/none.yaml\n", ""),
            (&format!("test -f {dir}/x.yaml && ! test -e {dir}/none.yaml && cat {dir}/x.yaml"), 0, "#cloud-config\n", ""),
            (&format!("printf 'a: b\\n' | tee {dir}/y.yaml > /dev/null; chmod 600 {dir}/y.yaml; stat -c '%a %s' {dir}/y.yaml"), 0, "600 5\n", ""),
            (&format!("mkdir -p {dir}/sub && echo z > {dir}/sub/z.yaml"), 0, "", ""),
            (list, 0, "local:snippets/x.yaml snippet snippets 14\nlocal:snippets/y.yaml snippet snippets 5\n", ""),
            (&format!("(umask 077; umask; echo p > {dir}/p.yaml); umask; stat -c %a {dir}/p.yaml; rm {dir}/p.yaml; f=$(mktemp); stat -c %a $f"), 0, "0077\n0022\n600\n600\n", ""),
            (&format!("stat -c %a {dir}/x.yaml"), 0, "640\n", ""),
            (&format!("rm -f {dir}/y.yaml {dir}/none.yaml; rm -r {dir}/sub; ls {dir}"), 0, "x.yaml\n", ""),
            ("pvesm free local:snippets/x.yaml", 0, "Removed volume 'local:snippets/x.yaml'\n", ""),
            (list, 0, "", ""),
            ("ssh pve2 'mkdir -p /mnt/shared/snippets && echo s > /mnt/shared/snippets/s.yaml'; cat /mnt/shared/snippets/s.yaml", 0, "s\n", ""),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_use_them() {
    let Some(nodes) = Nodes::truth().await else { return };
    let dir = FOLDER;
    let missing = "volume 'local:snippets/x.yaml' does not exist\n";
    let create = "qm create 200 --memory 64 --ide2 vmdata:cloudinit --cicustom user=local:snippets/x.yaml > /dev/null";
    play(
        &nodes,
        &[
            (create, 0, "", ""),
            ("qm start 200", 255, "", missing),
            ("qm cloudinit dump 200 user | head -1", 0, "#cloud-config\n", ""),
            (
                "qm set 200 --hookscript local:snippets/h.sh 2>&1 | grep ^hook",
                0,
                "hookscript: script 'local:snippets/h.sh' does not exist\n",
                "",
            ),
            (
                &format!("echo '#cloud-config' > {dir}/x.yaml; qm start 200 2>&1 | tail -1"),
                0,
                "generating cloud-init ISO\n",
                "",
            ),
            (&format!("rm {dir}/x.yaml; qm cloudinit update 200"), 2, "", missing),
            ("qm stop 200; qm set 200 --delete ide2 > /dev/null; qm start 200", 0, "", ""),
        ],
    )
    .await;
}

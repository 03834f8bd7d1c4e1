//! The repository on the forge: a bare one in a folder, with a branch `main`.

use std::path::{Path, PathBuf};

use super::machine::Machine;

/// Runs git, and gives what it prints.
fn git(machine: &Machine, folder: &Path, args: &[&str]) -> String {
    let mut command = machine.command("git", folder);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "somebody");
        command.env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
    }
    let output = command.args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) struct Origin {
    bare: PathBuf,
    work: PathBuf,
}

impl Origin {
    pub(crate) fn new(machine: &Machine) -> Self {
        let origin = Self { bare: machine.path("origin.git"), work: machine.path("work") };
        let root = machine.path("");
        git(machine, &root, &["init", "--quiet", "--bare", "--initial-branch=main", "origin.git"]);
        git(machine, &root, &["clone", "--quiet", "origin.git", "work"]);
        git(machine, &origin.work, &["checkout", "--quiet", "-b", "main"]);
        origin
    }

    /// Commits files to a branch that goes on from `main`'s or its own end, and pushes it. The commit.
    pub(crate) fn commit(&self, machine: &Machine, branch: &str, files: &[(&str, &str)]) -> String {
        git(machine, &self.work, &["checkout", "--quiet", "-B", branch]);
        for (name, text) in files {
            let path = self.work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(machine, &self.work, &["add", "--all"]);
        git(machine, &self.work, &["commit", "--quiet", "--allow-empty", "-m", "change"]);
        git(machine, &self.work, &["push", "--quiet", "--force", "origin", branch]);
        self.head(machine, branch)
    }

    /// Merges a branch into `main`, which goes forward. The commit.
    pub(crate) fn merge(&self, machine: &Machine, branch: &str) -> String {
        git(machine, &self.work, &["checkout", "--quiet", "main"]);
        let branches = git(machine, &self.work, &["branch", "--list", branch]);
        if !branches.is_empty() {
            git(machine, &self.work, &["merge", "--quiet", "--ff-only", branch]);
        }
        git(machine, &self.work, &["push", "--quiet", "origin", "main"]);
        self.head(machine, "main")
    }

    /// The commit of a branch.
    pub(crate) fn head(&self, machine: &Machine, branch: &str) -> String {
        git(machine, &self.bare, &["rev-parse", branch])
    }

    /// A file of a branch.
    pub(crate) fn file(&self, machine: &Machine, branch: &str, name: &str) -> String {
        git(machine, &self.bare, &["show", &format!("{branch}:{name}")])
    }

    /// One commit without what was before it, as `actions/checkout` and GitLab get it.
    pub(crate) fn checkout(&self, machine: &Machine, commit: &str, folder: &Path) {
        let url = format!("file://{}", self.bare.display());
        git(machine, folder, &["init", "--quiet", "."]);
        git(machine, folder, &["remote", "add", "origin", &url]);
        git(machine, folder, &["fetch", "--quiet", "--depth", "1", "origin", commit]);
        git(machine, folder, &["checkout", "--quiet", "--detach", commit]);
    }
}

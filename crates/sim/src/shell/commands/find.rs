//! `find`: names, types, depths, `-delete` and `-exec`.

use super::super::io::Io;
use super::super::{Shell, fs, pattern};

#[derive(Default)]
struct Query {
    names: Vec<(String, bool, bool)>,
    folders: Option<bool>,
    deepest: Option<usize>,
    shallowest: usize,
    empty: bool,
    delete: bool,
    exec: Vec<String>,
    ends: &'static str,
}

impl Query {
    /// The starting points and what is asked for; the error is the complaint.
    fn parse(words: &[String]) -> Result<(Vec<String>, Self), String> {
        let mut query = Self { ends: "\n", ..Self::default() };
        let first = words.iter().position(|word| word.starts_with(['-', '!', '(']));
        let (starts, tests) = words.split_at(first.unwrap_or(words.len()));
        let mut not = false;
        let mut rest = tests.iter();
        while let Some(test) = rest.next() {
            let mut value = || {
                rest.next().cloned().ok_or_else(|| format!("find: missing argument to `{test}'"))
            };
            let number = |text: String| {
                text.parse().map_err(|_| {
                    format!("find: Expected a positive decimal integer argument to {test}, but got ‘{text}’")
                })
            };
            match test.as_str() {
                "!" | "-not" => {
                    not = !not;
                    continue;
                }
                "-name" => query.names.push((value()?, false, not)),
                "-iname" => query.names.push((value()?.to_lowercase(), true, not)),
                "-type" => query.folders = Some((value()? == "d") != not),
                "-maxdepth" => query.deepest = Some(number(value()?)?),
                "-mindepth" => query.shallowest = number(value()?)?,
                "-empty" => query.empty = true,
                "-print" | "-a" | "-and" => {}
                "-print0" => query.ends = "\0",
                "-delete" => query.delete = true,
                "-mtime" | "-mmin" | "-size" | "-newer" | "-user" | "-perm" => {
                    value()?;
                }
                "-exec" => {
                    for word in rest.by_ref() {
                        if word == ";" || word == "+" {
                            break;
                        }
                        query.exec.push(word.clone());
                    }
                }
                other => return Err(format!("find: unknown predicate `{other}'")),
            }
            not = false;
        }
        let starts = if starts.is_empty() { vec![".".to_owned()] } else { starts.to_vec() };
        Ok((starts, query))
    }

    fn fits(&self, shell: &Shell, path: &str, full: &str, depth: usize) -> bool {
        let Ok(meta) = shell.fs(|fs| fs.meta(full)) else { return false };
        let name = fs::split(path.trim_end_matches('/')).1;
        let named = self.names.iter().all(|(wanted, fold, not)| {
            let name = if *fold { name.to_lowercase() } else { name.to_owned() };
            pattern::fits(wanted, &name) != *not
        });
        let empty = || match meta.folder {
            true => shell.fs(|fs| fs.list(full)).is_ok_and(|names| names.is_empty()),
            false => meta.size == 0,
        };
        named
            && depth >= self.shallowest
            && self.folders.is_none_or(|folders| folders == meta.folder)
            && (!self.empty || empty())
    }
}

impl Shell {
    pub(super) async fn find_command(&mut self, words: &[String], io: &Io) -> i32 {
        let (starts, query) = match Query::parse(words) {
            Ok(parsed) => parsed,
            Err(complaint) => {
                io.err.line(&complaint);
                return 1;
            }
        };
        let mut status = 0;
        let mut hits = Vec::new();
        for start in &starts {
            if !self.fs(|fs| fs.exists(&self.path(start))) {
                io.err.line(&format!("find: ‘{start}’: No such file or directory"));
                status = 1;
                continue;
            }
            self.walk(&query, start, 0, &mut hits);
        }
        for hit in hits {
            if query.delete {
                let path = self.path(&hit);
                let done = self.fs(|fs| match fs.is_folder(&path) {
                    true => fs.remove_folder(&path),
                    false => fs.remove(&path),
                });
                if let Err(errno) = done {
                    io.err.line(&format!("find: cannot delete ‘{hit}’: {}", errno.text()));
                    status = 1;
                }
            } else if let Some((name, rest)) = query.exec.split_first() {
                let rest: Vec<String> = rest.iter().map(|word| word.replace("{}", &hit)).collect();
                Box::pin(self.command(name, &rest, io)).await;
            } else {
                io.out.text(&format!("{hit}{}", query.ends));
            }
        }
        status
    }

    fn walk(&self, query: &Query, path: &str, depth: usize, hits: &mut Vec<String>) {
        let full = self.path(path);
        let fits = query.fits(self, path, &full, depth);
        if fits && !query.delete {
            hits.push(path.to_owned());
        }
        let deeper = query.deepest.is_none_or(|deepest| depth < deepest) && depth < 60;
        if deeper && self.fs(|fs| fs.is_folder(&full)) {
            for name in self.fs(|fs| fs.list(&full)).unwrap_or_default() {
                let child = format!("{}/{name}", path.trim_end_matches('/'));
                self.walk(query, &child, depth + 1, hits);
            }
        }
        // What is deleted goes before the folder that it is in.
        if fits && query.delete {
            hits.push(path.to_owned());
        }
    }
}

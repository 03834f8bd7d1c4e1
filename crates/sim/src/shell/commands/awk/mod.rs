//! `awk`: the part of the language that one-liners use, with the texts of mawk, Debian's default.

mod parse;
mod run;
mod value;

use super::super::Shell;
use super::super::io::Io;
use super::text;

impl Shell {
    pub(super) async fn awk_command(&mut self, words: &[String], io: &Io) -> i32 {
        let (mut separator, mut assigned) = (None, Vec::new());
        let mut rest = words.iter();
        let mut program: Option<String> = None;
        let mut files: Vec<String> = Vec::new();
        while let Some(word) = rest.next() {
            if program.is_some() || word == "-" || !word.starts_with('-') {
                match program {
                    None => program = Some(word.clone()),
                    Some(_) => files.push(word.clone()),
                }
                continue;
            }
            let (flag, attached) = word.split_at(word.len().min(2));
            if !word.is_char_boundary(2) || word == "--" {
                continue;
            }
            let mut value = || match attached {
                "" => rest.next().cloned().unwrap_or_default(),
                attached => attached.to_owned(),
            };
            match flag {
                "-F" => separator = Some(value()),
                "-v" => {
                    let given = value();
                    if let Some((name, value)) = given.split_once('=') {
                        assigned.push((name.to_owned(), value.to_owned()));
                    }
                }
                "-f" => {
                    let path = self.path(&value());
                    match self.fs(|fs| fs.read(&path)) {
                        Ok(bytes) => program = Some(text(&bytes)),
                        Err(errno) => {
                            io.err
                                .line(&format!("awk: couldn't open file {path}: {}", errno.text()));
                            return 2;
                        }
                    }
                }
                _ => {
                    io.err.line(&format!("awk: not an option: {word}"));
                    return 2;
                }
            }
        }
        let Some(program) = program else {
            io.err.line("Usage: mawk [Options] [Program] [file ...]");
            return 2;
        };
        let program = match parse::parse(&program) {
            Ok(program) => program,
            Err(near) => {
                io.err.line(&format!("awk: line 1: syntax error at or near {near}"));
                return 2;
            }
        };
        let mut machine = run::Machine::new(&program, separator, assigned);
        let mut status = 0;
        let mut whole = String::new();
        if program.reads_input() {
            let (inputs, failed) = self.inputs("awk", &files, io).await;
            status = if failed == 0 { 0 } else { 2 };
            whole = inputs.iter().map(|(_, bytes)| text(bytes)).collect();
        }
        let ended = machine.run(&whole);
        io.out.text(&machine.out);
        io.err.text(&machine.err);
        match ended {
            Ok(code) if code != 0 => code,
            Ok(_) => status,
            Err(complaint) => {
                io.err.line(&format!("awk: {complaint}"));
                2
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, run};

    fn said(program: &str, input: &str) -> String {
        let program = match parse::parse(program) {
            Ok(program) => program,
            Err(near) => return format!("near {near}"),
        };
        let mut machine = run::Machine::new(&program, None, vec![("v".into(), "7".into())]);
        match machine.run(input) {
            Ok(_) => machine.out,
            Err(complaint) => complaint,
        }
    }

    #[test]
    fn one_liners() {
        let list = "VMID NAME STATUS\n100 web running\n101 db stopped\n9000 tpl stopped\n";
        for (program, wanted) in [
            ("{print $1}", "VMID\n100\n101\n9000\n"),
            ("NR>1 {print $1, $2}", "100 web\n101 db\n9000 tpl\n"),
            ("NR > 1 && $3 == \"stopped\" { print $1 }", "101\n9000\n"),
            ("/running/{print $2}", "web\n"),
            ("$3 ~ /^stop/ && $1 >= 1000", "9000 tpl stopped\n"),
            ("!/VMID/ {n++} END {print n}", "3\n"),
            ("NR>1{sum+=$1} END{print sum, sum/3}", "9201 3067\n"),
            ("END{print NR; print NF}", "4\n3\n"),
            ("{print $NF}", "STATUS\nrunning\nstopped\nstopped\n"),
            ("NR==2{$2=\"x\"; print; exit}", "100 x running\n"),
            ("BEGIN{OFS=\"-\"} NR==2{print $1,$2}", "100-web\n"),
            ("BEGIN{FS=\"e\"} NR==2{print $2}", "b running\n"),
            ("NR>1{a[$3]++} END{for (k in a) print k, a[k]}", "running 1\nstopped 2\n"),
            ("NR==2{printf \"%5d|%-5s|%.1f\\n\", $1, $2, $1/3}", "  100|web  |33.3\n"),
            ("NR==2{print length($2), toupper($2), substr($3,1,3) \"x\"}", "3 WEB runx\n"),
            ("NR==2{gsub(/[aeiou]/,\"_\"); print}", "100 w_b r_nn_ng\n"),
            ("NR==2{n=split(\"a:b:c\",p,\":\"); print n, p[3]}", "3 c\n"),
            ("NR==2{if ($1>v) print \"more\"; else print \"less\"}", "more\n"),
            ("BEGIN{for(i=0;i<3;i++) printf \"%d \", i; print \"\"}", "0 1 2 \n"),
            ("BEGIN{x = 1 ? \"a\" : \"b\"; print x; print 2^3, 7%4, -3}", "a\n8 3 -3\n"),
            ("/web/,/db/ {print $1}", "100\n101\n"),
            (
                "BEGIN{if (!(\"q\" in a)) print \"none\"; print 1e3, 0.1+0.2, 1/3}",
                "none\n1000 0.3 0.333333\n",
            ),
            ("BEGIN{while(1){}}", "too many steps"),
            ("BEGIN{print 1/0}", "division by zero"),
            ("{print $1", "near end of file"),
        ] {
            assert_eq!(said(program, list), wanted, "{program}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_program_panics(program in "[a-c0-9 ${}()\\[\\]/\"~!=<>+*,;%^?:&|.-]{0,40}") {
            let _ = said(&program, "a b\nc d\n");
        }

        #[test]
        fn deep_programs_are_refused(mark in "[(!{$-]") {
            let _ = said(&mark.repeat(20_000), "a");
        }
    }
}

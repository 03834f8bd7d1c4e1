//! A channel: a command, a shell or file transfer, with its streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::server::Shared;
use crate::shell::Shell;
use crate::shell::io::{Chunk, Input, Io, Sink, Stdin};

/// What a channel is for.
enum Purpose {
    Command(String),
    Shell,
    Sftp,
}

/// Serves a channel until its command ends or the client goes.
pub(super) async fn serve(shared: Arc<Shared>, node: String, channel: Channel<Msg>) {
    let (mut reader, writer) = channel.split();
    let mut terminal = false;
    let mut environment = Vec::new();
    let purpose = loop {
        match reader.wait().await {
            Some(ChannelMsg::RequestPty { .. }) => terminal = true,
            // `AcceptEnv LANG LC_*`, as Debian's sshd has it.
            Some(ChannelMsg::SetEnv { variable_name: name, variable_value: value, .. }) => {
                if name == "LANG" || name.starts_with("LC_") {
                    environment.push((name, value));
                }
            }
            Some(ChannelMsg::Exec { command, .. }) => {
                break Purpose::Command(String::from_utf8_lossy(&command).into_owned());
            }
            Some(ChannelMsg::RequestShell { .. }) => break Purpose::Shell,
            Some(ChannelMsg::RequestSubsystem { name, .. }) if name == "sftp" => {
                break Purpose::Sftp;
            }
            None | Some(ChannelMsg::Close) => return,
            Some(_) => {}
        }
    };
    let (feed, stdin) = unbounded_channel();
    let (output, chunks) = unbounded_channel();
    let out = Sink::Client(output.clone(), false);
    let err = Sink::Client(output.clone(), !terminal);
    let io = Io { stdin: Input::from(stdin), out, err };
    let mut shell = Shell::new(shared, &node);
    shell.accept(environment);
    let runner = tokio::spawn(run(shell, purpose, io, output, terminal));
    let abort = runner.abort_handle();
    // The status of a command that a signal ends: of Control-C, unless a request names another.
    let killed = Arc::new(AtomicI32::new(130));
    let mut sending = tokio::spawn(send(writer, chunks, runner, terminal, Arc::clone(&killed)));
    let mut feed: Option<UnboundedSender<Vec<u8>>> = Some(feed);
    loop {
        tokio::select! {
            message = reader.wait() => match message {
                Some(ChannelMsg::Data { data }) => {
                    // Control-C ends what runs on a terminal.
                    if terminal && data.contains(&3) {
                        abort.abort();
                    }
                    if let Some(feed) = &feed {
                        let _ = feed.send(data.to_vec());
                    }
                }
                Some(ChannelMsg::Eof) => feed = None,
                Some(ChannelMsg::Signal { signal }) => {
                    killed.store(status_of(&signal), Ordering::Relaxed);
                    abort.abort();
                }
                None | Some(ChannelMsg::Close) => {
                    abort.abort();
                    return;
                }
                Some(_) => {}
            },
            _ = &mut sending => return,
        }
    }
}

/// Sends output as it comes, and the exit status at the end.
async fn send(
    writer: ChannelWriteHalf<Msg>,
    mut chunks: UnboundedReceiver<Chunk>,
    runner: tokio::task::JoinHandle<i32>,
    terminal: bool,
    killed: Arc<AtomicI32>,
) {
    while let Some(chunk) = chunks.recv().await {
        let bytes = if terminal { on_terminal(&chunk.bytes) } else { chunk.bytes };
        let sent = if chunk.error {
            writer.extended_data_bytes(1, bytes).await
        } else {
            writer.data_bytes(bytes).await
        };
        if sent.is_err() {
            return;
        }
    }
    let status = runner.await.unwrap_or_else(|_| killed.load(Ordering::Relaxed));
    // The status comes first: a client that has ended its input closes the channel as soon as the
    // output ends, and to a closed channel nothing is sent any more.
    let _ = writer.exit_status(u32::try_from(status & 0xff).unwrap_or(255)).await;
    let _ = writer.eof().await;
    let _ = writer.close().await;
}

/// What a shell tells of a command that a signal ended.
fn status_of(signal: &Sig) -> i32 {
    128 + match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ABRT => 6,
        Sig::KILL => 9,
        _ => 15,
    }
}

fn on_terminal(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

async fn run(
    mut shell: Shell,
    purpose: Purpose,
    io: Io,
    output: UnboundedSender<Chunk>,
    terminal: bool,
) -> i32 {
    let status = match purpose {
        Purpose::Command(command) => match super::scp::Request::parse(&command) {
            Some(request) => super::scp::serve(&shell, &request, &io).await,
            None => shell.whole(&command, &io).await,
        },
        Purpose::Sftp => super::sftp::serve(&shell, &io.stdin, &output).await,
        Purpose::Shell if terminal => interactive(&mut shell, &io).await,
        Purpose::Shell => {
            let script = io.read().await;
            shell.whole(&String::from_utf8_lossy(&script), &io).await
        }
    };
    shell.shared.changed.notify_waiters();
    status
}

/// A terminal: lines are echoed and run one by one.
async fn interactive(shell: &mut Shell, io: &Io) -> i32 {
    let mut status = 0;
    loop {
        let folder = if shell.folder == "/root" { "~" } else { shell.folder.as_str() };
        io.out.text(&format!("root@{}:{folder}# ", shell.node));
        let Some(line) = typed(&io.stdin, &io.out).await else { return status };
        let inner = Io { stdin: Input::of(Vec::new()), ..io.clone() };
        status = shell.run(&line, &inner).await;
        if shell.ended() {
            return status;
        }
    }
}

/// A line as typed, with backspace; none at Control-D.
async fn typed(stdin: &Stdin, echo: &Sink) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let byte = stdin.lock().await.exactly(1).await.first().copied()?;
        match byte {
            b'\r' | b'\n' => {
                echo.text("\n");
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            4 if line.is_empty() => {
                echo.text("exit\n");
                return None;
            }
            3 => {
                echo.text("^C\n");
                line.clear();
                return Some(String::new());
            }
            8 | 127 => {
                if line.pop().is_some() {
                    echo.text("\u{8} \u{8}");
                }
            }
            0..32 => {}
            _ => {
                line.push(byte);
                echo.write(&[byte]);
            }
        }
    }
}

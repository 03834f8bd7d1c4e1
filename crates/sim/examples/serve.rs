//! Serves a built-in world until Ctrl-C: `serve [WORLD] [PORT] [TIME-SCALE|instant]`.

use std::net::{Ipv4Addr, SocketAddr};

use pvx_sim::{Options, Sim, TimeScale, World};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "lab".to_owned());
    let port: u16 = arguments.next().map_or(Ok(8006), |text| text.parse())?;
    let time_scale = match arguments.next().as_deref() {
        None => TimeScale::REAL,
        Some("instant") => TimeScale::INSTANT,
        Some(factor) => TimeScale::times(factor.parse()?),
    };
    let world = World::builtin(&name).ok_or("no such world")?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let sim = Sim::start(world, Options { listen, time_scale, ..Options::default() }).await?;
    use std::io::Write as _;
    writeln!(std::io::stdout(), "https://{} {}", sim.addr(), sim.fingerprint())?;
    tokio::signal::ctrl_c().await?;
    sim.shutdown().await;
    Ok(())
}

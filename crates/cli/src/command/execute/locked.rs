//! Guests that other tasks hold locks on are waited for.

use std::time::{Duration, Instant};

use pvx_core::address::Address;
use pvx_core::live::Inventory;
use pvx_core::planner::{Input, Options, Ownership, locked_keepers};

use crate::args::RunOptions;
use crate::exit::CliError;
use crate::output;
use crate::session::{Reading, Session};
use crate::view;

/// Between two looks at guests that are locked.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// Reads, and reads again while other tasks hold locks on the documents' guests: a clone that was
/// cut off before still runs, or a backup. What is locked for longer the plan says.
pub(super) async fn read(
    session: &Session<'_>,
    run: &RunOptions,
    mut inventory: Inventory,
    options: &Options,
) -> Result<Reading, CliError> {
    let deadline = Instant::now() + Duration::from_secs(run.lock_timeout);
    let mut said = false;
    loop {
        let reading = session.read(inventory).await?;
        let locked = locked(&session.input(&reading, options));
        if locked.is_empty() || Instant::now() >= deadline {
            return Ok(reading);
        }
        if !said {
            output::errors(&view::note(&format!("waiting for locks: {}", locked.join(", "))));
            said = true;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
        inventory = session.inventory().await?;
    }
}

/// Guests of ours that are locked, with their locks, and those that may become ours.
fn locked(input: &Input<'_>) -> Vec<String> {
    let ownership = Ownership::of(input);
    let missing = input.desired.guests().filter(|guest| {
        let address = &guest.address;
        ownership.member(address).is_none() && ownership.half_made(address).is_none()
    });
    let mut making: Vec<String> = missing
        .filter_map(|guest| ownership.being_made(input, guest))
        .map(|live| format!("guest {} (being made)", live.vmid))
        .collect();
    making.dedup();
    let lock = |(address, vmid): (&Address, u32)| {
        let lock = input.snapshot.guests.get(&vmid)?.lock()?;
        Some(format!("{address} ({lock})"))
    };
    let keepers = locked_keepers(input);
    ownership.owned().filter_map(lock).chain(making).chain(keepers).collect()
}

//! The regular expressions of `$confdesc` (`PVE::QemuServer` and its modules), written out.

/// One or more of a class of characters.
fn some(text: &str, class: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(class)
}

fn digits(text: &str) -> bool {
    some(text, |character| character.is_ascii_digit())
}

fn hex(text: &str, length: usize) -> bool {
    text.len() == length && some(text, |character| character.is_ascii_hexdigit())
}

/// `5` or `5-7`.
fn range(text: &str) -> bool {
    match text.split_once('-') {
        Some((from, to)) => digits(from) && digits(to),
        None => digits(text),
    }
}

/// `0-3;5`: numbers and ranges, joined with semicolons (NUMA nodes, VLAN trunks).
pub(crate) fn ranges(text: &str) -> bool {
    text.split(';').all(range)
}

/// `0,5,8-11`: cores of a host.
pub(crate) fn cpu_set(text: &str) -> bool {
    let ordered = |part: &str| match part.split_once('-') {
        Some((from, to)) => match (from.parse::<u32>(), to.parse::<u32>()) {
            (Ok(from), Ok(to)) => from <= to,
            _ => false,
        },
        None => true,
    };
    text.split(',').all(|part| range(part) && ordered(part))
}

/// `/dev/ttyS0` or `socket`.
pub(crate) fn serial(text: &str) -> bool {
    let device = |rest: &str| some(rest, |character| character != ',');
    text == "socket" || text.strip_prefix("/dev/").is_some_and(device)
}

/// `/dev/parport0` or `/dev/usb/lp0`.
pub(crate) fn parallel(text: &str) -> bool {
    ["/dev/parport", "/dev/usb/lp"]
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix))
        .any(digits)
}

/// A uuid with hyphens.
pub(crate) fn uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length))
}

/// A uuid, 0 or 1.
pub(crate) fn generation(text: &str) -> bool {
    matches!(text, "0" | "1") || uuid(text)
}

/// Base64, or text of its letters.
pub(crate) fn base64(text: &str) -> bool {
    let body = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    some(body, |character| character.is_ascii_alphanumeric() || "+/".contains(character))
}

fn product(text: &str, max: usize) -> bool {
    let class = |character: char| {
        character.is_ascii_alphanumeric() || "-_".contains(character) || character.is_whitespace()
    };
    text.chars().count() <= max && text.chars().all(class)
}

/// Up to 16 letters, digits, `-`, `_` and blanks.
pub(crate) fn product16(text: &str) -> bool {
    product(text, 16)
}

/// Up to 8 of them.
pub(crate) fn vendor8(text: &str) -> bool {
    product(text, 8)
}

/// `0x` and 16 hexadecimal digits.
pub(crate) fn wwn(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|rest| hex(rest, 16))
}

/// `0x` and 4 hexadecimal digits.
pub(crate) fn pci_id(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|rest| hex(rest, 4))
}

/// `01:00.0`, `0000:01:00`, several joined with semicolons.
pub(crate) fn pci_hosts(text: &str) -> bool {
    !text.contains(|character: char| character.is_ascii_uppercase())
        && text.split(';').all(pci_host)
}

fn pci_host(text: &str) -> bool {
    let (address, function) = match text.split_once('.') {
        Some((address, function)) => (address, Some(function)),
        None => (text, None),
    };
    let parts: Vec<&str> = address.split(':').collect();
    let function = function.is_none_or(|function| hex(function, 1));
    let ok = match parts.as_slice() {
        [domain, bus, device] => {
            (4..=8).any(|length| hex(domain, length)) && hex(bus, 2) && hex(device, 2)
        }
        [bus, device] => hex(bus, 2) && hex(device, 2),
        _ => false,
    };
    ok && function
}

/// `1234:abcd` (also with `0x`), `1-1.2`, or `spice` in any case.
pub(crate) fn usb_host(text: &str) -> bool {
    let id = |part: &str| hex(part.strip_prefix("0x").unwrap_or(part), 4);
    let port = |rest: &str| rest.split('.').all(digits);
    text.eq_ignore_ascii_case("spice")
        || text.split_once(':').is_some_and(|(vendor, product)| id(vendor) && id(product))
        || text.split_once('-').is_some_and(|(bus, rest)| digits(bus) && port(rest))
}

/// Anything but commas and semicolons.
pub(crate) fn rom_file(text: &str) -> bool {
    some(text, |character| !",;".contains(character))
}

/// Anything but slashes, dots and colons.
pub(crate) fn mdev(text: &str) -> bool {
    some(text, |character| !"/.:".contains(character))
}

/// 1 to 12 letters and digits.
pub(crate) fn hv_vendor(text: &str) -> bool {
    text.len() <= 12 && some(text, |character| character.is_ascii_alphanumeric())
}

/// `+flag;-flag`.
pub(crate) fn cpu_flags(text: &str) -> bool {
    let class = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    text.split(';').all(|flag| flag.strip_prefix(['+', '-']).is_some_and(|name| some(name, class)))
}

/// Letters, digits and hyphens.
pub(crate) fn shared_memory(text: &str) -> bool {
    some(text, |character| character.is_ascii_alphanumeric() || character == '-')
}

/// One to four of `a`, `c`, `d`, `n`.
pub(crate) fn legacy_boot(text: &str) -> bool {
    text.len() <= 4 && some(text, |character| "acdn".contains(character))
}

/// `now`, `2006-06-17` or `2006-06-17T16:01:21`.
pub(crate) fn start_date(text: &str) -> bool {
    let short = |part: &&str| part.len() <= 2 && digits(part);
    let day = |text: &str| match text.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => year.len() == 4 && digits(year) && short(month) && short(day),
        _ => false,
    };
    let time = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        parts.len() == 3 && parts.iter().all(short)
    };
    text == "now"
        || match text.split_once('T') {
            Some((date, clock)) => day(date) && time(clock),
            None => day(text),
        }
}

/// `9.2`, `10.0.1`.
fn version(text: &str) -> bool {
    text.contains('.') && text.split('.').all(digits)
}

/// A machine type: `q35`, `pc-i440fx-9.2+pve1`, `virt`.
pub(crate) fn machine(text: &str) -> bool {
    if matches!(text, "pc" | "q35" | "virt") {
        return true;
    }
    let pve = |text: &str| match text.split_once("+pve") {
        Some((number, revision)) => version(number) && digits(revision),
        None => version(text),
    };
    let x86 = |rest: &str| pve(rest.strip_suffix(".pxe").unwrap_or(rest));
    let arm = |rest: &str| match rest.split_once("+pve") {
        Some((number, revision)) => (number.is_empty() || version(number)) && digits(revision),
        None => version(rest),
    };
    if let Some(rest) = text.strip_prefix("virt") {
        return arm(rest.strip_prefix('-').unwrap_or(rest));
    }
    ["pc-i440fx-", "pc-q35-", "pc-"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .is_some_and(x86)
}

/// `net0=1500,net1=0`.
pub(crate) fn host_mtus(text: &str) -> bool {
    text.split(',').all(|part| {
        part.strip_prefix("net")
            .and_then(|rest| rest.split_once('='))
            .is_some_and(|(number, mtu)| digits(number) && digits(mtu))
    })
}

/// The size of a resize: `+1G`, `512M`, `2.5T`.
pub(crate) fn resize(text: &str) -> bool {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let rest = rest.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(rest);
    match rest.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        type Fits = fn(&str) -> bool;
        let table: &[(Fits, &[&str], &[&str])] = &[
            (ranges, &["0", "0-3;5"], &["", "a", "1,2", "1-"]),
            (cpu_set, &["0,5,8-11"], &["", "3-1", "a"]),
            (serial, &["socket", "/dev/ttyS0"], &["", "ttyS0", "/dev/", "/dev/a,b"]),
            (parallel, &["/dev/parport0", "/dev/usb/lp1"], &["/dev/lp0"]),
            (generation, &["0", "1", "01234567-89ab-cdef-0123-456789abcdef"], &["2", "x"]),
            (base64, &["QUJD", "QQ==", "abc"], &["", "=", "a b", "a==="]),
            (wwn, &["0x500123456789abcd"], &["500123456789abcd", "0x5"]),
            (pci_hosts, &["01:00.0", "0000:01:00", "01:00.0;01:00.1"], &["", "1:0.0", "01:00.x"]),
            (usb_host, &["1234:abcd", "0x1234:0xabcd", "1-1.2", "SPICE"], &["", "12:34", "1-"]),
            (cpu_flags, &["+aes", "+aes;-pcid"], &["aes", "+", "+a,b"]),
            (start_date, &["now", "2006-6-17", "2006-06-17T16:01:21"], &["06-06-17", "2006-06"]),
            (
                machine,
                &["pc", "q35", "pc-q35-9.2+pve1", "pc-i440fx-10.0", "pc-1.0.pxe", "virt-9.0"],
                &["", "foo", "q35-9.2", "pc-q35", "pc-q35-9"],
            ),
            (resize, &["+1G", "512M", "2.5T", "1"], &["", "-1G", "1GB", "+", "1.G"]),
            (host_mtus, &["net0=1500", "net0=1500,net1=0"], &["", "net0", "0=1"]),
            (legacy_boot, &["c", "cdn"], &["", "cdnac", "x"]),
        ];
        for (fits, good, bad) in table {
            for text in *good {
                assert!(fits(text), "{text}");
            }
            for text in *bad {
                assert!(!fits(text), "{text}");
            }
        }
    }
}

//! Compression of answers (`PVE::APIServer::AnyEvent::response`).

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// Bodies of so many bytes at most go out as they are.
const PLAIN_LIMIT: usize = 1024;

/// What the client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    /// The names are looked for anywhere in `Accept-Encoding`, gzip first.
    pub(crate) fn accepted(value: &str) -> Self {
        if value.contains("gzip") {
            Self::Gzip
        } else if value.contains("deflate") {
            Self::Deflate
        } else {
            Self::Identity
        }
    }
}

/// The body to send and the value of `Content-Encoding`.
pub(crate) fn body(plain: Vec<u8>, encoding: Encoding) -> (Vec<u8>, Option<&'static str>) {
    if plain.len() <= PLAIN_LIMIT {
        return (plain, None);
    }
    let packed = match encoding {
        Encoding::Identity => return (plain, None),
        Encoding::Gzip => gzip(&plain).map(|body| (body, "gzip")),
        Encoding::Deflate => deflate(&plain).map(|body| (body, "deflate")),
    };
    match packed {
        Ok((packed, name)) => (packed, Some(name)),
        Err(_) => (plain, None),
    }
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

fn deflate(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_long_is_packed_as_the_client_takes_it() {
        let plain = b"pve".repeat(1000);
        let (packed, name) = body(plain.clone(), Encoding::accepted("gzip, deflate, br"));
        assert_eq!(name, Some("gzip"));
        let mut again = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut again).unwrap();
        assert_eq!(again, plain);
        assert_eq!(body(plain.clone(), Encoding::accepted("deflate")).1, Some("deflate"));
        assert_eq!(body(plain.clone(), Encoding::accepted("br")), (plain, None));
        assert_eq!(body(vec![0; PLAIN_LIMIT], Encoding::Gzip).1, None);
    }
}

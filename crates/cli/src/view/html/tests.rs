//! The page.

use super::super::review::samples;
use super::*;

#[test]
fn shots() {
    std::fs::write("/tmp/shots/thirty.html", render(&samples::thirty(), None).unwrap()).unwrap();
    std::fs::write("/tmp/shots/g.svg", svg::standalone(&Graph::of(&samples::thirty()))).unwrap();
}

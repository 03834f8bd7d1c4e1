//! The pipeline files of `examples/pipelines`, run as their forges would run them: a small runner of
//! our own, a forge's REST API on loopback, and the simulator as cluster.

mod actions;
mod api;
mod expression;
mod forge;
mod gitlab;
mod lab;
mod machine;
mod origin;
mod run;
mod scenarios;
mod table;
mod workflow;

//! A cluster, documents, and one thing that is wrong.

use pvx_core::desired::Desired;
use pvx_core::diagnostic::Sources;
use pvx_core::plan::{Finding, Intent, Plan, Weight};
use pvx_core::planner::Options;
use pvx_provider_pve::client::Request;
use pvx_sim::World;

use crate::harness::Lab;

/// A path, and its parameters.
type Post = (&'static str, &'static [(&'static str, &'static str)]);

/// One thing that is wrong. Errors are followed by an apply without preflight, which must fail;
/// warnings by one that works.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What is added to the world `lab`.
    pub(super) world: &'static str,
    /// What is applied before, and works.
    pub(super) first: Option<&'static str>,
    /// What happens then.
    pub(super) meanwhile: fn(&mut World),
    /// What somebody asks for then.
    pub(super) posts: [Option<Post>; 2],
    pub(super) config: &'static str,
    pub(super) document: &'static str,
    pub(super) code: &'static str,
    /// An error that forbids what would work, because a document or common sense says so.
    pub(super) works: bool,
}

impl Scenario {
    pub(super) const fn new(name: &'static str, code: &'static str) -> Self {
        Self {
            name,
            world: "",
            first: None,
            meanwhile: |_| {},
            posts: [None; 2],
            config: "",
            document: "",
            code,
            works: false,
        }
    }

    pub(super) const fn world(self, world: &'static str) -> Self {
        Self { world, ..self }
    }

    pub(super) const fn first(self, first: &'static str) -> Self {
        Self { first: Some(first), ..self }
    }

    pub(super) const fn meanwhile(self, meanwhile: fn(&mut World)) -> Self {
        Self { meanwhile, ..self }
    }

    pub(super) const fn post(
        self,
        path: &'static str,
        parameters: &'static [(&'static str, &'static str)],
    ) -> Self {
        let posts = match self.posts {
            [None, _] => [Some((path, parameters)), None],
            [first, _] => [first, Some((path, parameters))],
        };
        Self { posts, ..self }
    }

    pub(super) const fn config(self, config: &'static str) -> Self {
        Self { config, ..self }
    }

    pub(super) const fn document(self, document: &'static str) -> Self {
        Self { document, ..self }
    }

    pub(super) const fn works(self) -> Self {
        Self { works: true, ..self }
    }

    /// The cluster as it is when the plan is made, and the document.
    async fn ready(&self) -> (Lab, (Desired, Sources)) {
        let world = World::from_yaml(&format!("from: lab\n{}", self.world));
        let world = world.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let lab = Lab::remembering(world).await;
        if let Some(first) = self.first {
            lab.apply(&lab.documents(&[("a.yaml", first.to_owned())])).await;
        }
        lab.sim.edit(self.meanwhile);
        for (path, parameters) in self.posts.into_iter().flatten() {
            let request = parameters
                .iter()
                .fold(Request::post(path), |request, (key, value)| request.parameter(*key, value));
            lab.cluster().client().send(&request).await.unwrap();
        }
        lab.configure(self.config);
        let documents = lab.documents(&[("a.yaml", self.document.to_owned())]);
        (lab, documents)
    }

    /// Nothing is found, and it works.
    pub(super) async fn play_free(&self) {
        let (lab, documents) = self.ready().await;
        let memory = lab.memory();
        let options = Options::default();
        let (draft, plan) = lab.preflight(&documents, Intent::Apply, &options, &memory).await;
        assert_eq!(plan.findings, draft.findings, "{}", self.name);
        assert!(!plan.is_empty() && !plan.is_blocked(), "{}: {:#?}", self.name, plan.findings);
        let failures = lab.attempt(&plan).await;
        assert!(failures.is_empty(), "{}: {failures:#?}", self.name);
        lab.sim.shutdown().await;
    }

    /// What is found, and what happens without it, as text for people.
    pub(super) async fn play(&self) -> String {
        let (lab, documents) = self.ready().await;
        lab.sim.clear_requests();
        let memory = lab.memory();
        let options = Options::default();
        let (draft, plan) = lab.preflight(&documents, Intent::Apply, &options, &memory).await;
        let writes = lab.sim.requests().into_iter().filter(|request| request.write);
        assert_eq!(writes.count(), 0, "{}", self.name);
        let found = self.finding(&draft, &plan);
        let blocked = found.weight == Weight::Error;
        assert_eq!(plan.is_blocked(), blocked, "{}: {:#?}", self.name, plan.findings);
        let failures = lab.attempt(&draft).await;
        let fails = blocked && !self.works;
        assert_eq!(!failures.is_empty(), fails, "{}: {failures:#?}", self.name);
        let text = text(self.name, found, failures.first());
        lab.sim.shutdown().await;
        text
    }

    /// The one finding that the preflight adds; the planner finds nothing.
    fn finding<'p>(&self, draft: &Plan, plan: &'p Plan) -> &'p Finding {
        assert!(!draft.is_blocked(), "{}: {:#?}", self.name, draft.findings);
        let new: Vec<_> = plan.findings.iter().filter(|f| !draft.findings.contains(f)).collect();
        let [found] = new[..] else { panic!("{}: {new:#?}\n{:#?}", self.name, draft.actions) };
        assert_eq!(found.code, self.code, "{}", self.name);
        assert!(found.help.is_some() && found.span.is_some(), "{}: {found:#?}", self.name);
        found
    }
}

fn text(
    name: &str,
    found: &Finding,
    failure: Option<&pvx_core::provider::ProviderError>,
) -> String {
    let place = found.position.as_ref().map_or(String::new(), |p| format!(" at {}", p.line));
    let mut lines = vec![
        format!("-- {name}"),
        format!("{:?} {}{place}: {}", found.weight, found.code, found.message),
        format!("  help: {}", found.help.as_deref().unwrap_or_default()),
    ];
    if let Some(failure) = failure {
        let all = failure.log.iter().map(String::as_str).chain([failure.message.as_str()]);
        lines.extend(all.flat_map(str::lines).map(|line| format!("  without: {line}")));
    }
    lines.join("\n") + "\n"
}

/// All of them, one after the other, as one text.
pub(super) async fn play(scenarios: &[Scenario]) -> String {
    let mut all = String::new();
    for scenario in scenarios {
        all.push_str(&scenario.play().await);
    }
    all
}

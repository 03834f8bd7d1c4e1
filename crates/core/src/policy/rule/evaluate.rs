//! Rules over a plan.

use std::collections::HashMap;

use cel::{Context, Value};
use jiff::Timestamp;
use serde::Serialize;

use super::compile::{self, Compiled, CompiledRule};
use super::engine::{Engine, apart};
use super::sample::said;
use super::values::{Now, Plan as Seen};
use super::{Each, Rule, Severity};
use crate::address::Address;
use crate::desired;
use crate::plan::{Checked, Finding, Intent, Plan, Verdict, Weight};
use crate::planner::{Input, matches_target};
use crate::policy::{Policy, Verdicts};

/// Turns of loops that one rule may take, at most: some seconds.
const MOST_TURNS: u64 = 5_000_000;

/// Holds the plan against every rule.
pub(in crate::policy) fn check(
    plan: &Plan,
    input: &Input<'_>,
    policy: &Policy,
    now: Timestamp,
    verdicts: &mut Verdicts,
) {
    let Some(first) = policy.rules.first() else { return };
    let seen = Seen::of(plan, input);
    let now = Now::at(now, &policy.zone);
    let run = || {
        let engine = Engine::new();
        let all = All { input, plan, seen: &seen, now: &now };
        policy.rules.iter().map(|rule| all.check(&engine, rule)).collect::<Vec<_>>()
    };
    match apart(run) {
        Ok(results) => {
            for (checked, findings) in results {
                verdicts.checked.push(checked);
                verdicts.findings.extend(findings);
            }
        }
        Err(why) => {
            let text = format!("the rules of the policy could not be evaluated: {why}");
            verdicts.findings.push(Finding::error("policy-failed", text).at(first.name.span));
            let failed = |rule: &Rule| Checked::new(&rule.name.value, Verdict::Failed);
            verdicts.checked.extend(policy.rules.iter().map(failed));
        }
    }
}

/// Everything that rules look at.
struct All<'a> {
    input: &'a Input<'a>,
    plan: &'a Plan,
    seen: &'a Seen,
    now: &'a Now,
}

/// One thing that a rule is asked about.
struct Subject<'a> {
    address: Option<&'a Address>,
    guest: Option<&'a desired::Guest>,
    value: Option<Value>,
}

/// A rule could not be evaluated.
struct Failed(String);

fn value(seen: &impl Serialize) -> Result<Value, Failed> {
    cel::to_value(seen).map_err(|error| Failed(format!("its variables could not be made: {error}")))
}

impl All<'_> {
    fn check(&self, engine: &Engine, rule: &Rule) -> (Checked, Vec<Finding>) {
        let position = Some(self.input.sources.position(rule.name.span));
        let result = self.findings(engine, rule);
        let (result, findings) = match result {
            // A destroy asks for no guest.
            Ok(None) => (Verdict::Skipped, Vec::new()),
            Ok(Some(findings)) => {
                let failed = findings.iter().any(|finding| finding.code == FAILED);
                let worst = findings.iter().map(|finding| finding.weight).min();
                (if failed { Verdict::Failed } else { Verdict::of(worst) }, findings)
            }
            Err(Failed(why)) => (Verdict::Failed, vec![self.failed(rule, None, &why)]),
        };
        (Checked { position, ..Checked::new(&rule.name.value, result) }, findings)
    }

    fn findings(&self, engine: &Engine, rule: &Rule) -> Result<Option<Vec<Finding>>, Failed> {
        let compiled = compile::rule(engine, rule, self.input.sources)
            .map_err(|_| Failed("it is wrong in itself; `pvx validate` says where".to_owned()))?;
        if rule.each == Each::Guest && self.plan.intent == Intent::Destroy {
            return Ok(None);
        }
        let subjects = self.subjects(rule.each)?;
        self.check_cost(&compiled, subjects.len())?;
        let mut context = engine.context();
        // Of thousands of guests it is large.
        if compiled.mentions("plan") {
            context.add_variable_from_value("plan", value(self.seen)?);
        }
        context.add_variable_from_value("now", value(self.now)?);
        let mut findings = Vec::new();
        for subject in subjects {
            if let Some(value) = &subject.value {
                let name = if rule.each == Each::Guest { "guest" } else { "change" };
                context.add_variable_from_value(name, value.clone());
            }
            findings.extend(self.ask(rule, &compiled, &subject, &context));
        }
        Ok(Some(findings))
    }

    fn subjects(&self, each: Each) -> Result<Vec<Subject<'_>>, Failed> {
        let mut subjects = Vec::new();
        match each {
            Each::Guest => {
                for (guest, seen) in self.input.desired.guests().zip(&self.seen.guests) {
                    let (address, guest) = (Some(&guest.address), Some(guest));
                    subjects.push(Subject { address, guest, value: Some(value(seen)?) });
                }
            }
            Each::Change => {
                let guests: HashMap<_, _> =
                    self.input.desired.guests().map(|guest| (&guest.address, guest)).collect();
                for (change, seen) in self.plan.changes.iter().zip(&self.seen.changes) {
                    let guest = guests.get(&change.address).copied();
                    let address = Some(&change.address);
                    subjects.push(Subject { address, guest, value: Some(value(seen)?) });
                }
            }
            Each::Plan => subjects.push(Subject { address: None, guest: None, value: None }),
        }
        Ok(subjects)
    }

    /// Loops inside each other over all guests end in no time for ten and never for thousands.
    fn check_cost(&self, compiled: &CompiledRule, subjects: usize) -> Result<(), Failed> {
        let length = self.seen.guests.len().max(self.seen.changes.len()) as u64;
        let turns = length.saturating_pow(compiled.loops()).saturating_mul(subjects as u64);
        if turns > MOST_TURNS {
            return Err(Failed(format!(
                "it would take {turns} turns: loop over guests less deeply, or use plan.pools and \
                 `each: plan`"
            )));
        }
        Ok(())
    }

    /// None when the rule holds, or is not about this.
    fn ask(
        &self,
        rule: &Rule,
        compiled: &CompiledRule,
        subject: &Subject<'_>,
        context: &Context<'_, '_>,
    ) -> Option<Finding> {
        let holds = |compiled: &Compiled| match compiled.program.execute(context) {
            Ok(Value::Bool(is)) => Ok(is),
            Ok(_) => Err("it gives neither true nor false".to_owned()),
            Err(error) => Err(said(&error)),
        };
        let applies = compiled.when.as_ref().map_or(Ok(true), holds);
        match applies.and_then(|applies| Ok(!applies || holds(&compiled.check)?)) {
            Ok(true) => None,
            Ok(false) => Some(self.broken(rule, compiled, subject, context)),
            Err(why) => Some(self.failed(rule, Some(subject), &why)),
        }
    }

    fn broken(
        &self,
        rule: &Rule,
        compiled: &CompiledRule,
        subject: &Subject<'_>,
        context: &Context<'_, '_>,
    ) -> Finding {
        let name = &rule.name.value;
        let text = compiled.message.as_ref().map(|message| message.fill(context));
        let text = text.unwrap_or_else(|| format!("rule {name} does not hold"));
        let weight = match rule.severity {
            Severity::Error => self.weight(subject),
            Severity::Warning => Weight::Warning,
        };
        let finding = Finding::new(weight, &format!("policy-{name}"), text);
        let place = subject.guest.map(|guest| match &rule.at {
            Some(path) => guest.place(path),
            None => guest.span,
        });
        let finding = Finding { address: subject.address.cloned(), span: place, ..finding };
        finding.help(self.rule_place(rule))
    }

    /// What is wrong with a guest that is not meant by `--target` stops nobody.
    fn weight(&self, subject: &Subject<'_>) -> Weight {
        let targets = &self.input.options.targets;
        let meant = |address: &Address| targets.iter().any(|t| matches_target(t, address));
        let is_meant = targets.is_empty() || subject.address.is_none_or(meant);
        if is_meant { Weight::Error } else { Weight::Warning }
    }

    fn failed(&self, rule: &Rule, subject: Option<&Subject<'_>>, why: &str) -> Finding {
        let name = &rule.name.value;
        let who = subject.and_then(|subject| subject.address);
        let text = format!("rule {name} could not be evaluated: {why}");
        let weight = subject.map_or(Weight::Error, |subject| self.weight(subject));
        let finding = Finding::new(weight, FAILED, text).at(rule.check.span);
        let finding = Finding { address: who.cloned(), ..finding };
        finding
            .help("a rule that cannot be evaluated counts as broken; `when` says what it is about")
    }

    /// `rule memory-cap, policies/org.yaml:12`
    fn rule_place(&self, rule: &Rule) -> String {
        let at = self.input.sources.position(rule.name.span);
        format!("rule {}, {}:{}", rule.name.value, at.file, at.line)
    }
}

const FAILED: &str = "policy-failed";

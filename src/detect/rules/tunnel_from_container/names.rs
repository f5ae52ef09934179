//! What the names say that a workload asks for below one domain: whether they carry data.
//!
//! Contract: names are counted once while they are new in a window; a domain is reported once a window. Reverse names (`arpa`) and `local` are left out.
//! Limits: [`MAX_DOMAINS`] workloads and domains at once, the one that was longest not asked for goes; domains are cut by a short list of
//! registries (`co.uk`), not by the public suffix list, so some are counted together.
//! Names that a flow asked for beyond those that are kept are taken to be below the domain of most of these, and to differ.
//! Design: of names that may carry data a hash is kept; what is counted is the longest label (of odd types the name), because search lists repeat it
//! and tunnels never do. All different names below a domain are estimated by a bitmap of fixed size.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::HoldTime;
use crate::input::{DnsMessage, WorkloadId};
use crate::names::is_registry;
use crate::time::{Timestamp, readable};

/// Workloads and domains that are counted at once; each holds as many labels as the thresholds ask for.
pub(super) const MAX_DOMAINS: usize = 4096;
/// Bits a character that a long label has at least: digests have 3.5 and more, a number behind zeros less than 2.
const LEAST_ENTROPY: f64 = 3.0;
/// Characters that the longest label of a TXT question has at least to count.
const LEAST_TEXT: usize = 5;

/// From when on names carry data, rather than name hosts. Each is a number of different names below one domain within a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsThresholds {
    /// How long names are counted together.
    pub window: HoldTime,
    /// Names asked for with type NULL or one for private use, which nothing else asks for.
    pub odd_types: usize,
    /// Names asked for with a type that answers with data (TXT and KEY from 8 characters a label; MX, CNAME and SRV from 20).
    pub data_names: usize,
    /// Names with bytes that no host name has.
    pub binary_names: usize,
    /// Names with a long and irregular label, of whatever type.
    pub long_names: usize,
    /// From how many characters on a label is long.
    pub long_label: usize,
    /// Names of any form, asked for with type TXT, whose answers carry most.
    pub text_names: usize,
    /// Names of any form and type.
    pub names: usize,
}

impl Default for DnsThresholds {
    fn default() -> Self {
        let window = HoldTime::secs(60);
        Self {
            window,
            odd_types: 3,
            data_names: 30,
            binary_names: 8,
            long_names: 25,
            long_label: 30,
            text_names: 200,
            names: 1000,
        }
    }
}

/// Why a name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Oddity {
    Type,
    Data,
    Binary,
    Long,
}

/// What was counted in the running window.
#[derive(Debug)]
struct NameWindow {
    since: Timestamp,
    age: u64,
    labels: BTreeSet<(Oddity, u64)>,
    counts: [usize; 4],
    /// Of long labels.
    long_bytes: usize,
    texts: Distinct,
    all: Distinct,
    reported: bool,
}

/// Estimates how many different hashes were seen, by linear counting: a bit for each.
#[derive(Debug, Default)]
struct Distinct {
    bits: Vec<u64>,
    set: u32,
    /// Seen but not hashed.
    more: u64,
}

impl Distinct {
    const WORDS: usize = 128;

    fn insert(&mut self, hash: u64) {
        if self.bits.is_empty() {
            self.bits = vec![0; Self::WORDS];
        }
        let word = usize::try_from(hash >> 6).unwrap_or(0) % Self::WORDS;
        if let Some(word) = self.bits.get_mut(word) {
            let bit = 1 << (hash & 63);
            self.set += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    fn count(&self) -> u64 {
        let size = u32::try_from(Self::WORDS * 64).unwrap_or(u32::MAX);
        let clear = f64::from(size.saturating_sub(self.set).max(1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100,000")]
        let seen = (f64::from(size) * (f64::from(size) / clear).ln()).round() as u64;
        seen.saturating_add(self.more)
    }
}

impl NameWindow {
    fn count(&mut self, limits: &DnsThresholds, oddity: Oddity, hash: u64, bytes: usize) {
        let Some(count) = self.counts.get_mut(oddity as usize).filter(|count| **count < limits.of(oddity)) else {
            return;
        };
        if self.labels.insert((oddity, hash)) {
            *count += 1;
            self.long_bytes += if oddity == Oddity::Long { bytes } else { 0 };
        }
    }
}

impl NameWindow {
    /// Says what gives the tunnel away, once.
    fn report(&mut self, limits: &DnsThresholds, domain: &str, now: Timestamp) -> Option<String> {
        if self.reported {
            return None;
        }
        let text = verdict(limits, self)?;
        self.reported = true;
        Some(format!("{text} below {domain} within {}", readable(now.since(self.since).max(Duration::from_secs(1)))))
    }
}

impl DnsThresholds {
    const fn of(&self, oddity: Oddity) -> usize {
        match oddity {
            Oddity::Type => self.odd_types,
            Oddity::Data => self.data_names,
            Oddity::Binary => self.binary_names,
            Oddity::Long => self.long_names,
        }
    }
}

/// The counts of all workloads.
#[derive(Debug, Default)]
pub(super) struct Names {
    windows: BTreeMap<(WorkloadId, String), NameWindow>,
    ages: BTreeMap<u64, (WorkloadId, String)>,
    next: u64,
    /// Windows that made room for others.
    pub(super) forgotten: u64,
}

impl Names {
    /// A workload asks; says so when the domain is a tunnel now.
    pub(super) fn ask(
        &mut self,
        limits: &DnsThresholds,
        workload: &WorkloadId,
        question: &DnsMessage,
        now: Timestamp,
    ) -> Option<String> {
        let labels = labels(&question.query);
        let (below, domain) = split(&labels)?;
        let label = below.iter().max_by_key(|label| label.len())?;
        let oddities = oddities(limits, &question.kind, label);
        if oddities.is_empty() && limits.names == 0 && limits.text_names == 0 {
            return None;
        }
        let window = self.window(limits, workload, &domain, now);
        for oddity in oddities {
            let counted = if oddity == Oddity::Type { below } else { std::slice::from_ref(label) };
            window.count(limits, oddity, hash(counted), label.len());
        }
        // Block lists ask with the parts of an address, certificate checks with a label that begins with an underscore.
        let is_service = below.iter().any(|label| label.starts_with(b"_"));
        if question.kind == "TXT" && label.len() >= LEAST_TEXT && !is_service {
            window.texts.insert(hash(below));
        }
        window.all.insert(hash(below));
        window.report(limits, &domain, now)
    }

    /// A workload asked so many more questions in a flow of which these are kept.
    pub(super) fn ask_more(
        &mut self,
        limits: &DnsThresholds,
        workload: &WorkloadId,
        kept: &[DnsMessage],
        more: u64,
        now: Timestamp,
    ) -> Option<String> {
        if more == 0 || limits.names == 0 {
            return None;
        }
        let mut domains: BTreeMap<String, usize> = BTreeMap::new();
        for question in kept {
            if let Some((_, domain)) = split(&labels(&question.query)) {
                *domains.entry(domain).or_default() += 1;
            }
        }
        let (domain, count) = domains.into_iter().max_by_key(|(_, count)| *count)?;
        if 2 * count <= kept.len() {
            return None;
        }
        let window = self.window(limits, workload, &domain, now);
        window.all.more = window.all.more.saturating_add(more);
        window.report(limits, &domain, now)
    }

    /// The running window of a workload and a domain.
    fn window(
        &mut self,
        limits: &DnsThresholds,
        workload: &WorkloadId,
        domain: &str,
        now: Timestamp,
    ) -> &mut NameWindow {
        let key = (workload.clone(), domain.to_owned());
        let age = self.next;
        self.next += 1;
        if let Some(known) = self.windows.get(&key) {
            self.ages.remove(&known.age);
        } else if self.windows.len() >= MAX_DOMAINS
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.forgotten += 1;
            self.windows.remove(&oldest);
        }
        self.ages.insert(age, key.clone());
        let fresh = || NameWindow {
            since: now,
            age,
            labels: BTreeSet::new(),
            counts: [0; 4],
            long_bytes: 0,
            texts: Distinct::default(),
            all: Distinct::default(),
            reported: false,
        };
        let window = self.windows.entry(key).or_insert_with(fresh);
        if now.since(window.since) > limits.window.get() {
            *window = fresh();
        }
        window.age = age;
        window
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> [usize; 2] {
        [self.windows.len(), self.ages.len()]
    }
}

/// What gives the tunnel away, if anything does.
fn verdict(limits: &DnsThresholds, window: &NameWindow) -> Option<String> {
    let [types, data, binary, long] = window.counts;
    let reached = |count: usize, limit: usize| limit > 0 && count >= limit;
    if reached(types, limits.odd_types) {
        Some(format!("{types} different names of type NULL or for private use were asked for"))
    } else if reached(binary, limits.binary_names) {
        Some(format!("{binary} different names with bytes that no host name has were asked for"))
    } else if reached(data, limits.data_names) {
        Some(format!("{data} different names were asked for the data in their answers"))
    } else if reached(long, limits.long_names) {
        let mean = window.long_bytes.checked_div(long).unwrap_or(0);
        Some(format!("{long} different names with long labels, {mean} characters on average, were asked for"))
    } else {
        let reached = |names: u64, limit: usize| limit > 0 && names >= u64::try_from(limit).unwrap_or(u64::MAX);
        let (texts, names) = (window.texts.count(), window.all.count());
        if reached(texts, limits.text_names) {
            return Some(format!("some {texts} different names were asked for with type TXT"));
        }
        reached(names, limits.names).then(|| format!("some {names} different names were asked for"))
    }
}

/// In which ways a name of this type may carry data.
fn oddities(limits: &DnsThresholds, kind: &str, label: &[u8]) -> Vec<Oddity> {
    let is_private = kind.strip_prefix("TYPE").and_then(|number| number.parse().ok()).is_some_and(|n: u16| n >= 65_280);
    let least = match kind {
        "TXT" | "KEY" => 8,
        "MX" | "CNAME" | "SRV" => 20,
        _ => usize::MAX,
    };
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_printed = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let is_long = label.len() >= limits.long_label;
    [
        (Oddity::Type, kind == "NULL" || is_private),
        (Oddity::Data, label.len() >= least),
        // A blank or a bracket is a service's name or a mistake; a control character or an eighth bit is neither.
        (Oddity::Binary, label.len() >= 8 && !label.iter().all(is_printed)),
        (Oddity::Long, is_long && entropy(label) >= LEAST_ENTROPY && label.iter().any(is_host)),
    ]
    .into_iter()
    .filter_map(|(oddity, holds)| holds.then_some(oddity))
    .collect()
}

/// Shannon's entropy in bits a byte.
pub(in crate::detect::rules) fn entropy(label: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in label {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = f64::from(u32::try_from(label.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / all;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

/// The same for the same labels, whatever their case.
pub(in crate::detect::rules) fn hash(labels: &[Vec<u8>]) -> u64 {
    // Without a random seed, so that a replay counts the same. Case is no difference: resolvers change it (draft-vixie-dnsext-dns0x20).
    let mut hasher = DefaultHasher::new();
    for label in labels {
        label.to_ascii_lowercase().hash(&mut hasher);
    }
    hasher.finish()
}

/// The labels of a name as it is printed: `\.` and `\ddd` are bytes of a label.
pub(in crate::detect::rules) fn labels(name: &str) -> Vec<Vec<u8>> {
    let (mut labels, mut label) = (Vec::new(), Vec::new());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => match bytes.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    let rest = [bytes.next(), bytes.next()].map(|digit| digit.unwrap_or(b'0').wrapping_sub(b'0'));
                    let number =
                        rest.iter().fold(u16::from(digit - b'0'), |sum, digit| sum * 10 + u16::from(digit % 10));
                    label.push(u8::try_from(number).unwrap_or(u8::MAX));
                }
                Some(escaped) => label.push(escaped),
                None => {}
            },
            byte => label.push(byte),
        }
    }
    labels.push(label);
    labels.retain(|label| !label.is_empty());
    labels
}

/// The labels below the domain that somebody registered, and that domain; `None` where there is nothing below, or nobody registers.
pub(in crate::detect::rules) fn split(labels: &[Vec<u8>]) -> Option<(&[Vec<u8>], String)> {
    let text = |label: &Vec<u8>| String::from_utf8_lossy(label).to_ascii_lowercase();
    let mut ends = labels.iter().rev().map(text);
    let (top, second) = (ends.next()?, ends.next()?);
    if ["arpa", "local"].contains(&top.as_str()) {
        return None;
    }
    let kept = if is_registry(&top, &second) { 3 } else { 2 };
    let (below, domain) = labels.split_at(labels.len().checked_sub(kept)?);
    let domain = domain.iter().map(text).collect::<Vec<_>>().join(".");
    (!below.is_empty()).then_some((below, domain))
}

#[cfg(test)]
mod tests;

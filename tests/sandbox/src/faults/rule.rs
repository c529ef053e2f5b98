//! The text form of one fault rule: `PRODUCT:ACTION[@OBJECT]:KIND[:COUNT]`.

use std::{fmt, str::FromStr, time::Duration};

const PRODUCTS: [&str; 10] = ["*", "sts", "ram", "cs", "ecs", "vpc", "cbn", "ess", "oss", "k8s"];
const KINDS: &str = "error=STATUS[/CODE], throttle, cut-before, cut-after, delay=DURATION, stuck, \
                     partial, never-ready, late";
const MUTATING_VERBS: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, without effect, with this HTTP status and error code.
    Error {
        /// The HTTP status.
        status: u16,
        /// The error code; the product's usual one for the status unless given.
        code: Option<String>,
    },
    /// It is refused by flow control.
    Throttle,
    /// It is lost on the way in.
    CutBefore,
    /// It has its effect, and its answer is lost.
    CutAfter,
    /// It is held up for this long (of the world's time).
    Delay(Duration),
    /// What it starts never ends.
    Stuck,
    /// It has only part of its effect.
    Partial,
    /// What it makes never becomes ready.
    NeverReady,
    /// It is lost, and lands after its caller has given up waiting for it.
    Late,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    product: String,
    action: String,
    object: Option<String>,
    /// What it does.
    pub fault: Fault,
    /// How often it still does it; `None` is for ever.
    left: Option<u32>,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not three or four parts.
    #[error(
        "fault rule `{0}` has not the form PRODUCT:ACTION[@OBJECT]:KIND[:COUNT], e.g. \
         ram:CreateUser:throttle:3"
    )]
    Form(String),
    /// No such product.
    #[error("fault rule `{rule}`: no product `{product}`; there are {}", PRODUCTS.join(", "))]
    Product {
        /// The whole rule.
        rule: String,
        /// The part that is wrong.
        product: String,
    },
    /// No such kind, or its argument is wrong.
    #[error("fault rule `{rule}`: `{kind}` is no kind of fault; there are {KINDS}")]
    Kind {
        /// The whole rule.
        rule: String,
        /// The part that is wrong.
        kind: String,
    },
    /// The count is no positive number and no `*`.
    #[error("fault rule `{rule}`: count `{count}` must be a number from 1, or * for ever")]
    Count {
        /// The whole rule.
        rule: String,
        /// The part that is wrong.
        count: String,
    },
}

impl Rule {
    /// Whether the rule is about this call.
    #[must_use]
    pub fn matches(&self, product: &str, action: &str, object: &str) -> bool {
        glob(&self.product, product)
            && self.matches_action(action)
            && self.object.as_ref().is_none_or(|pattern| glob(pattern, object))
    }

    /// Counts one use; true when the rule is used up.
    pub(super) fn spend(&mut self) -> bool {
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        self.left == Some(0)
    }

    fn matches_action(&self, action: &str) -> bool {
        if glob(&self.action, action) {
            return true;
        }
        let (Some(resources), Some((verb, resource))) =
            (self.action.strip_prefix("write-"), action.split_once('-'))
        else {
            return false;
        };
        MUTATING_VERBS.contains(&verb) && glob(resources, resource)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let parts: Vec<&str> = text.split(':').collect();
        let (product, target, kind, count) = match parts[..] {
            [product, target, kind] => (product, target, kind, "1"),
            [product, target, kind, count] => (product, target, kind, count),
            _ => return Err(RuleError::Form(text.into())),
        };
        if !PRODUCTS.contains(&product) {
            return Err(RuleError::Product { rule: text.into(), product: product.into() });
        }
        let (action, object) = match target.split_once('@') {
            Some((action, object)) => (action, Some(object.to_owned())),
            None => (target, None),
        };
        if action.is_empty() || object.as_deref() == Some("") {
            return Err(RuleError::Form(text.into()));
        }
        let fault =
            kind.parse().map_err(|()| RuleError::Kind { rule: text.into(), kind: kind.into() })?;
        let left = match count {
            "*" => None,
            number => match number.parse() {
                Ok(number) if number > 0 => Some(number),
                _ => return Err(RuleError::Count { rule: text.into(), count: count.into() }),
            },
        };
        Ok(Self { product: product.into(), action: action.into(), object, fault, left })
    }
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(kind: &str) -> Result<Self, ()> {
        let (name, argument) = match kind.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (kind, None),
        };
        match (name, argument) {
            ("error", Some(argument)) => {
                let (status, code) = match argument.split_once('/') {
                    Some((status, code)) => (status, Some(code.to_owned())),
                    None => (argument, None),
                };
                let status = status.parse().map_err(|_| ())?;
                let fits = (400..600).contains(&status) && code.as_deref() != Some("");
                if fits { Ok(Self::Error { status, code }) } else { Err(()) }
            }
            ("delay", Some(argument)) => {
                humantime::parse_duration(argument).map(Self::Delay).map_err(|_| ())
            }
            ("throttle", None) => Ok(Self::Throttle),
            ("cut-before", None) => Ok(Self::CutBefore),
            ("cut-after", None) => Ok(Self::CutAfter),
            ("stuck", None) => Ok(Self::Stuck),
            ("partial", None) => Ok(Self::Partial),
            ("never-ready", None) => Ok(Self::NeverReady),
            ("late", None) => Ok(Self::Late),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.product, self.action)?;
        if let Some(object) = &self.object {
            write!(f, "@{object}")?;
        }
        write!(f, ":{}", self.fault)?;
        match self.left {
            Some(left) => write!(f, ":{left}"),
            None => f.write_str(":*"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { status, code: None } => write!(f, "error={status}"),
            Self::Error { status, code: Some(code) } => write!(f, "error={status}/{code}"),
            Self::Throttle => f.write_str("throttle"),
            Self::CutBefore => f.write_str("cut-before"),
            Self::CutAfter => f.write_str("cut-after"),
            // Without blanks, so that the text is a rule again.
            Self::Delay(delay) => {
                let text = humantime::format_duration(*delay).to_string();
                write!(f, "delay={}", text.replace(' ', ""))
            }
            Self::Stuck => f.write_str("stuck"),
            Self::Partial => f.write_str("partial"),
            Self::NeverReady => f.write_str("never-ready"),
            Self::Late => f.write_str("late"),
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters.
#[must_use]
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_written() {
        for text in [
            "cs:CreateClusterNodePool:cut-after:1",
            "ram:*:throttle:3",
            "k8s:patch-daemonsets:error=409:1",
            "k8s:write-configmaps@kube-system/eni-config:error=403:*",
            "oss:PutObject@kubelet-scripts/*:error=500/InternalError:1",
            "cs:InstallClusterAddons:stuck:1",
            "ecs:*:delay=1m30s:2",
            "cs:ModifyClusterNodePool@burst:never-ready:1",
            "cs:ModifyClusterNodePool:partial:1",
            "ram:CreateAccessKey:late:1",
            "vpc:DescribeVpcs:cut-before:1",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_count_is_one_unless_given() {
        assert_eq!("cs:X:stuck".parse::<Rule>().unwrap().to_string(), "cs:X:stuck:1");
    }

    #[test]
    fn a_wrong_part_is_named() {
        for (text, part) in [
            ("cs:CreateClusterNodePool", "PRODUCT:ACTION[@OBJECT]:KIND[:COUNT]"),
            ("cs::stuck", "PRODUCT:ACTION[@OBJECT]:KIND[:COUNT]"),
            ("cs:X@:stuck", "PRODUCT:ACTION[@OBJECT]:KIND[:COUNT]"),
            ("slb:X:stuck", "no product `slb`"),
            ("cs:X:explode", "`explode` is no kind"),
            ("cs:X:error=200", "`error=200` is no kind"),
            ("cs:X:error=", "`error=` is no kind"),
            ("cs:X:delay=soon", "`delay=soon` is no kind"),
            ("cs:X:stuck:0", "count `0` must be"),
            ("cs:X:stuck:many", "count `many` must be"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn stars_match_runs_of_characters() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*NodePool*", "CreateClusterNodePool", true),
            ("Create*", "CreateUser", true),
            ("Create*", "DeleteUser", false),
            ("a*b", "ab", true),
            ("a*ba", "aba", true),
            ("a*ba", "ab", false),
            ("*a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} on {text}");
        }
    }
}

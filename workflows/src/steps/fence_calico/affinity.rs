//! The node affinity that keeps Calico off cloud nodes: put into a pod template's affinity, and taken out again. Pure.
//!
//! Terms are alternatives, so the fence goes into every one of them; an empty term matches no node, so none is ever
//! left or made, and one that is there is left alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where the terms lie inside an affinity.
const NODE: &str = "nodeAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const TERMS: &str = "nodeSelectorTerms";
const EXPRESSIONS: &str = "matchExpressions";

/// What was put into one term: part of the before-image, as undo takes out just that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Insertion {
    /// The term's place in the list.
    pub(super) term: usize,
    /// The expressions, in order, behind those that were there.
    pub(super) expressions: Vec<Value>,
    /// The term itself is ours.
    pub(super) created: bool,
}

/// What was made of an affinity when the fence is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfenced {
    /// The affinity; null: none.
    pub(super) affinity: Value,
    /// A term that others had emptied but for the fence, which is left in it: without, it would match no node.
    pub(super) kept: bool,
}

/// The guide's two expressions.
fn wanted() -> [Value; 2] {
    [
        json!({"key": "alibabacloud.com/external", "operator": "NotIn", "values": ["true"]}),
        json!({"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}),
    ]
}

/// What has to be put into an affinity (null: there is none) so that no term admits a cloud node. Empty: it is fenced.
#[must_use]
pub(super) fn missing(affinity: &Value) -> Vec<Insertion> {
    let terms = terms(affinity);
    if terms.is_empty() {
        return vec![Insertion { term: 0, expressions: wanted().into(), created: true }];
    }
    let lacking = |term: &Value| -> Vec<Value> {
        if matches_nothing(term) {
            return Vec::new();
        }
        wanted()
            .into_iter()
            .filter(|one| !expressions(term).iter().any(|present| implies(present, one)))
            .collect()
    };
    let insertions = terms.iter().enumerate().map(|(at, term)| Insertion {
        term: at,
        expressions: lacking(term),
        created: false,
    });
    insertions.filter(|insertion| !insertion.expressions.is_empty()).collect()
}

/// The affinity with the insertions in it.
#[must_use]
pub(super) fn fence(affinity: &Value, insertions: &[Insertion]) -> Value {
    let mut fenced = if affinity.is_object() { affinity.clone() } else { json!({}) };
    for insertion in insertions {
        let list = child_list(child(child(&mut fenced, NODE), REQUIRED), TERMS);
        while list.len() <= insertion.term {
            list.push(json!({}));
        }
        child_list(&mut list[insertion.term], EXPRESSIONS)
            .extend(insertion.expressions.iter().cloned());
    }
    fenced
}

/// Takes the insertions out of `current`, three-way: what others have changed since stays, and what they did not change
/// becomes exactly what it was in `before` (the affinity that the insertions were made for).
#[must_use]
pub(super) fn unfence(current: &Value, before: &Value, insertions: &[Insertion]) -> Unfenced {
    let fenced = fence(before, insertions);
    if *current == fenced || current == before {
        return Unfenced { affinity: before.clone(), kept: false };
    }
    let mut affinity = current.clone();
    let mut kept = false;
    if !terms(current).is_empty() {
        let list = child_list(child(child(&mut affinity, NODE), REQUIRED), TERMS);
        let places = pair(list, terms(&fenced), insertions);
        for (insertion, place) in insertions.iter().zip(&places) {
            if let Some(place) = place {
                kept |= take_out(&mut list[*place], insertion, terms(before).get(insertion.term));
            }
        }
        let ours: Vec<usize> = insertions
            .iter()
            .zip(places)
            .filter(|(insertion, _)| insertion.created)
            .filter_map(|(_, place)| place)
            .collect();
        let mut at = 0;
        list.retain(|term| {
            let gone = ours.contains(&at) && matches_nothing(term);
            at += 1;
            !gone
        });
    }
    Unfenced { affinity: without_empty_containers(affinity, before), kept }
}

/// The term that each insertion went into: the one that is still as we left it, else one that is not as it was and still
/// has our expressions; in its own place rather than in another, as equal terms of the user's may stand beside it.
fn pair(current: &[Value], fenced: &[Value], insertions: &[Insertion]) -> Vec<Option<usize>> {
    let as_left =
        |insertion: &Insertion, at: usize| fenced.get(insertion.term) == Some(&current[at]);
    let edited = |insertion: &Insertion, at: usize| {
        let has_ours =
            insertion.expressions.iter().any(|one| expressions(&current[at]).contains(one));
        has_ours && !fenced.contains(&current[at])
    };
    let mut taken = vec![false; current.len()];
    let mut places = vec![None; insertions.len()];
    for (changed, own_place) in [(false, true), (false, false), (true, true), (true, false)] {
        for (place, insertion) in
            places.iter_mut().zip(insertions).filter(|(place, _)| place.is_none())
        {
            let found = (0..current.len()).find(|at| {
                !taken[*at]
                    && (*at == insertion.term || !own_place)
                    && (if changed { edited(insertion, *at) } else { as_left(insertion, *at) })
            });
            if let Some(at) = found {
                taken[at] = true;
                *place = found;
            }
        }
    }
    places
}

/// Takes one insertion out of a term. True: it had to stay, as the term would match no node without it.
fn take_out(term: &mut Value, insertion: &Insertion, before: Option<&Value>) -> bool {
    let mut without = term.clone();
    let list = child_list(&mut without, EXPRESSIONS);
    for expression in &insertion.expressions {
        // Ours were put behind the others, so an equal one of the user's stays where it is.
        if let Some(at) = list.iter().rposition(|present| present == expression) {
            list.remove(at);
        }
    }
    let had_list = before.is_some_and(|before| before.get(EXPRESSIONS).is_some());
    if list.is_empty() && !had_list {
        remove(&mut without, EXPRESSIONS);
    }
    if matches_nothing(&without) && !insertion.created {
        return true;
    }
    *term = without;
    false
}

/// Removes the containers on the way to the terms that are empty now and were not there before.
fn without_empty_containers(mut affinity: Value, before: &Value) -> Value {
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    if affinity[NODE][REQUIRED].is_object()
        && terms(&affinity).is_empty()
        && terms(before).is_empty()
    {
        remove(child(child(&mut affinity, NODE), REQUIRED), TERMS);
        if empty(&affinity[NODE][REQUIRED]) && before[NODE].get(REQUIRED).is_none() {
            remove(child(&mut affinity, NODE), REQUIRED);
        }
        if affinity.get(NODE).is_some_and(empty) && before.get(NODE).is_none() {
            remove(&mut affinity, NODE);
        }
    }
    if empty(&affinity) && !before.is_object() { Value::Null } else { affinity }
}

/// Whether `present` being met means that `wanted` (always `NotIn`) is met.
fn implies(present: &Value, wanted: &Value) -> bool {
    let values = |expression: &Value| expression["values"].as_array().cloned().unwrap_or_default();
    present["key"] == wanted["key"]
        && match present["operator"].as_str().unwrap_or_default() {
            "NotIn" => values(wanted).iter().all(|value| values(present).contains(value)),
            "In" => !values(present).iter().any(|value| values(wanted).contains(value)),
            "DoesNotExist" => true,
            _ => false,
        }
}

fn matches_nothing(term: &Value) -> bool {
    let empty = |field: &str| term[field].as_array().is_none_or(Vec::is_empty);
    empty(EXPRESSIONS) && empty("matchFields")
}

fn terms(affinity: &Value) -> &[Value] {
    affinity[NODE][REQUIRED][TERMS].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn expressions(term: &Value) -> &[Value] {
    term[EXPRESSIONS].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn child<'a>(parent: &'a mut Value, field: &str) -> &'a mut Value {
    if !parent[field].is_object() {
        parent[field] = json!({});
    }
    &mut parent[field]
}

fn child_list<'a>(parent: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    if !parent[field].is_array() {
        parent[field] = json!([]);
    }
    parent[field].as_array_mut().expect("it was made a list in the line above")
}

fn remove(parent: &mut Value, field: &str) {
    if let Some(map) = parent.as_object_mut() {
        map.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn required(terms: Value) -> Value {
        json!({NODE: {REQUIRED: {TERMS: terms}}})
    }

    fn gpu() -> Value {
        json!({"key": "gpu", "operator": "Exists"})
    }

    fn an_expression() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(gpu()),
            Just(json!({"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]})),
            Just(wanted()[0].clone()),
            Just(wanted()[1].clone()),
            Just(json!({"key": "type", "operator": "DoesNotExist"})),
        ]
    }

    fn a_term() -> impl Strategy<Value = Value> {
        let fields = json!([{"key": "metadata.name", "operator": "In", "values": ["a"]}]);
        prop_oneof![
            4 => prop::collection::vec(an_expression(), 0..3).prop_map(|list| json!({EXPRESSIONS: list})),
            1 => Just(json!({"matchFields": fields})),
            1 => Just(json!({})),
        ]
    }

    fn an_affinity() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            Just(json!({})),
            Just(json!({NODE: {}})),
            Just(json!({"podAntiAffinity": {"x": []}})),
            Just(json!({NODE: {"preferredDuringSchedulingIgnoredDuringExecution": []}})),
            prop::collection::vec(a_term(), 1..4).prop_map(|terms| required(terms.into())),
        ]
    }

    proptest! {
        #[test]
        fn taking_the_fence_out_is_the_inverse_of_putting_it_in(before in an_affinity()) {
            let insertions = missing(&before);
            let fenced = fence(&before, &insertions);
            prop_assert!(missing(&fenced).is_empty(), "{fenced}");
            let unfenced = unfence(&fenced, &before, &insertions);
            prop_assert_eq!(&unfenced, &Unfenced { affinity: before.clone(), kept: false });
            let again = unfence(&before, &before, &insertions);
            prop_assert_eq!(again.affinity, before, "undone twice");
        }

        #[test]
        fn what_others_add_beside_the_fence_stays(before in an_affinity()) {
            let preferred = json!([{"weight": 1}]);
            let with_preferred = |affinity: &Value| {
                let mut edited = if affinity.is_object() { affinity.clone() } else { json!({}) };
                child(&mut edited, NODE)["preferredDuringSchedulingIgnoredDuringExecution"] = preferred.clone();
                edited
            };
            let insertions = missing(&before);
            let edited = with_preferred(&fence(&before, &insertions));
            prop_assert_eq!(unfence(&edited, &before, &insertions).affinity, with_preferred(&before));
        }

        #[test]
        fn a_term_that_others_append_stays(before in prop::collection::vec(a_term(), 1..4), more in an_expression()) {
            let append = |affinity: &Value| {
                let mut edited = affinity.clone();
                child_list(child(child(&mut edited, NODE), REQUIRED), TERMS).push(json!({EXPRESSIONS: [{"key": "new", "operator": "Exists"}, more]}));
                edited
            };
            let before = required(before.into());
            let insertions = missing(&before);
            let edited = append(&fence(&before, &insertions));
            prop_assert_eq!(unfence(&edited, &before, &insertions).affinity, append(&before));
        }
    }

    #[test]
    fn the_guides_patch_is_what_a_template_without_affinity_gets() {
        let fenced = fence(&Value::Null, &missing(&Value::Null));
        assert_eq!(fenced, required(json!([{EXPRESSIONS: wanted()}])));
    }

    #[test]
    fn every_term_is_fenced_and_an_empty_one_is_left_alone() {
        let before = required(json!([{EXPRESSIONS: [gpu()]}, {}, {EXPRESSIONS: [wanted()[1]]}]));
        let fenced = fence(&before, &missing(&before));
        let [one, two] = wanted();
        assert_eq!(
            fenced,
            required(json!([{EXPRESSIONS: [gpu(), one, two]}, {}, {EXPRESSIONS: [two, one]}]))
        );
    }

    #[test]
    fn an_affinity_that_admits_no_cloud_node_needs_nothing() {
        let [one, _] = wanted();
        assert!(
            missing(&required(
                json!([{EXPRESSIONS: [{"key": "type", "operator": "DoesNotExist"}, one]}])
            ))
            .is_empty()
        );
        assert!(missing(&required(json!([{}]))).is_empty(), "an empty term matches no node");
    }

    #[test]
    fn an_expression_that_was_the_users_stays() {
        let [one, two] = wanted();
        let before = required(json!([{EXPRESSIONS: [one, gpu()]}]));
        let insertions = missing(&before);
        // The user drops their own gpu rule meanwhile.
        let edited = required(json!([{EXPRESSIONS: [one, two]}]));
        let unfenced = unfence(&edited, &before, &insertions);
        assert_eq!(
            unfenced,
            Unfenced { affinity: required(json!([{EXPRESSIONS: [one]}])), kept: false }
        );
    }

    #[test]
    fn a_term_that_others_emptied_but_for_the_fence_keeps_it() {
        let before = required(json!([{EXPRESSIONS: [gpu()]}]));
        let insertions = missing(&before);
        let edited = required(json!([{EXPRESSIONS: wanted()}]));
        let unfenced = unfence(&edited, &before, &insertions);
        assert!(unfenced.kept);
        assert_eq!(unfenced.affinity, edited);
    }

    #[test]
    fn a_rule_that_others_put_into_our_term_stays_without_ours() {
        let insertions = missing(&Value::Null);
        let mut edited = fence(&Value::Null, &insertions);
        edited[NODE][REQUIRED][TERMS][0][EXPRESSIONS].as_array_mut().unwrap().push(gpu());
        let unfenced = unfence(&edited, &Value::Null, &insertions);
        assert_eq!(
            unfenced,
            Unfenced { affinity: required(json!([{EXPRESSIONS: [gpu()]}])), kept: false }
        );
    }

    #[test]
    fn a_term_of_the_users_that_equals_a_fenced_one_keeps_its_place() {
        let [external, kind] = wanted();
        let before = required(json!([{EXPRESSIONS: [kind, external]}, {EXPRESSIONS: [kind]}]));
        let insertions = missing(&before);
        let append = |affinity: &Value| {
            let mut edited = affinity.clone();
            edited[NODE][REQUIRED][TERMS]
                .as_array_mut()
                .unwrap()
                .push(json!({EXPRESSIONS: [gpu()]}));
            edited
        };
        let edited = append(&fence(&before, &insertions));
        assert_eq!(unfence(&edited, &before, &insertions).affinity, append(&before));
    }

    #[test]
    fn an_affinity_that_others_removed_stays_removed() {
        let before = required(json!([{EXPRESSIONS: [gpu()]}]));
        let insertions = missing(&before);
        assert_eq!(unfence(&Value::Null, &before, &insertions).affinity, Value::Null);
    }
}

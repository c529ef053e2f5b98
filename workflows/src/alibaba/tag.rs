//! Tags, as the products' answers spell them. Knows no call.

use serde::{Deserialize, Serialize};

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AnyTag")]
pub struct Tag {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A tag as answers spell it; some have it in two spellings at once.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnyTag {
    key: String,
    #[serde(rename = "Key")]
    upper_key: String,
    #[serde(rename = "TagKey")]
    tag_key: String,
    value: String,
    #[serde(rename = "Value")]
    upper_value: String,
    #[serde(rename = "TagValue")]
    tag_value: String,
}

impl From<AnyTag> for Tag {
    fn from(any: AnyTag) -> Self {
        let first = |texts: [String; 3]| {
            texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
        };
        Self {
            key: first([any.key, any.upper_key, any.tag_key]),
            value: first([any.value, any.upper_value, any.tag_value]),
        }
    }
}

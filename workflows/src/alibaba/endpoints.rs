//! Products, their API versions and where they are reached. Makes no call.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::params::encode_path;

/// An Alibaba Cloud product that Causeway talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Security Token Service.
    Sts,
    /// Resource Access Management.
    Ram,
    /// Container Service.
    Cs,
    /// Elastic Compute Service.
    Ecs,
    /// Virtual Private Cloud.
    Vpc,
    /// Cloud Enterprise Network.
    Cbn,
    /// Auto Scaling.
    Ess,
    /// Object Storage Service.
    Oss,
}

impl Product {
    /// Every product.
    pub const ALL: [Self; 8] =
        [Self::Sts, Self::Ram, Self::Cs, Self::Ecs, Self::Vpc, Self::Cbn, Self::Ess, Self::Oss];

    /// Short name, as in configuration, traces and fault rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ram => "ram",
            Self::Cs => "cs",
            Self::Ecs => "ecs",
            Self::Vpc => "vpc",
            Self::Cbn => "cbn",
            Self::Ess => "ess",
            Self::Oss => "oss",
        }
    }

    /// Value of `x-acs-version`; empty for OSS, which has none.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Sts => "2015-04-01",
            Self::Ram => "2015-05-01",
            Self::Cs => "2015-12-15",
            Self::Ecs => "2014-05-26",
            Self::Vpc => "2016-04-28",
            Self::Cbn => "2017-09-12",
            Self::Ess => "2022-02-22",
            Self::Oss => "",
        }
    }

    fn default_url(self, region: &str) -> String {
        match self {
            Self::Ram | Self::Cbn => format!("https://{}.aliyuncs.com", self.name()),
            Self::Oss => format!("https://oss-{region}.aliyuncs.com"),
            _ => format!("https://{}.{region}.aliyuncs.com", self.name()),
        }
    }
}

/// An endpoint of the configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The name is no product's.
    #[error(
        "`endpoints.{0}` is no product; use all, cs, ram, sts, ecs, vpc, cbn, ess, oss or oss_node"
    )]
    UnknownName(String),
    /// The value is not a plain URL.
    #[error(
        "`endpoints.{name}` is `{value}`, which is not a URL of scheme http or https, host and optional port alone"
    )]
    NotAUrl {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Where the products are reached: the public hosts, unless the configuration says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    overrides: BTreeMap<String, Base>,
}

/// Scheme, host and port of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) scheme: String,
    /// `host` or `host:port`, as it stands in the `Host` header.
    pub(crate) authority: String,
    /// Whether the host is an IP address: OSS is then addressed by path.
    pub(crate) is_ip: bool,
    /// Whether the host is this machine.
    pub(crate) is_loopback: bool,
}

impl Base {
    fn parse(url: &str) -> Option<Self> {
        let parsed = reqwest::Url::parse(url).ok()?;
        let plain = matches!(parsed.scheme(), "http" | "https")
            && matches!(parsed.path(), "" | "/")
            && parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        let host = parsed.host_str().filter(|_| plain)?;
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        Some(Self {
            scheme: parsed.scheme().to_owned(),
            // `port` is absent where it is the scheme's own, as in the Host header that goes out.
            authority: parsed
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            is_ip: ip.is_some(),
            is_loopback: ip.map_or(host == "localhost", |ip| ip.is_loopback()),
        })
    }

    /// `scheme://authority`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

impl Endpoints {
    /// Endpoints from the table `connections.NAME.endpoints`: `all`, a product's name, or `oss_node`.
    ///
    /// # Errors
    /// Where a name or a URL is not usable.
    pub fn from_table<K: AsRef<str>, V: AsRef<str>>(
        table: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, EndpointError> {
        let mut overrides = BTreeMap::new();
        for (name, value) in table {
            let (name, value) = (name.as_ref(), value.as_ref());
            let known = matches!(name, "all" | "oss_node")
                || Product::ALL.iter().any(|product| product.name() == name);
            if !known {
                return Err(EndpointError::UnknownName(name.to_owned()));
            }
            let base = Base::parse(value).ok_or_else(|| EndpointError::NotAUrl {
                name: name.to_owned(),
                value: value.to_owned(),
            })?;
            overrides.insert(name.to_owned(), base);
        }
        Ok(Self { overrides })
    }

    pub(crate) fn base(&self, product: Product, region: &str) -> Option<Base> {
        self.overrides
            .get(product.name())
            .or_else(|| self.overrides.get("all"))
            .cloned()
            .or_else(|| Base::parse(&product.default_url(region)))
    }

    /// Whether every product is on this machine, so that no proxy may stand between.
    pub(crate) fn is_loopback(&self) -> bool {
        !self.overrides.is_empty()
            && self.overrides.iter().all(|(name, base)| name == "oss_node" || base.is_loopback)
    }

    /// The URL at which a cloud node fetches an object: OSS's internal endpoint, unless configured.
    #[must_use]
    pub fn node_object_url(&self, region: &str, bucket: &str, key: &str) -> String {
        let key = encode_path(key);
        match self.overrides.get("oss_node") {
            Some(base) if base.is_ip => format!("{}/{bucket}/{key}", base.url()),
            Some(base) => format!("{}://{bucket}.{}/{key}", base.scheme, base.authority),
            None => format!("https://{bucket}.oss-{region}-internal.aliyuncs.com/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_hosts_are_the_default() {
        let endpoints = Endpoints::default();
        let host = |product| endpoints.base(product, "cn-hangzhou").unwrap().url();
        assert_eq!(host(Product::Ram), "https://ram.aliyuncs.com");
        assert_eq!(host(Product::Cs), "https://cs.cn-hangzhou.aliyuncs.com");
        assert_eq!(host(Product::Oss), "https://oss-cn-hangzhou.aliyuncs.com");
        assert!(!endpoints.is_loopback());
    }

    #[test]
    fn one_products_override_wins_over_all() {
        let endpoints = Endpoints::from_table([
            ("all", "http://127.0.0.1:9000"),
            ("ecs", "https://ecs.internal/"),
        ])
        .unwrap();
        assert_eq!(endpoints.base(Product::Vpc, "r").unwrap().authority, "127.0.0.1:9000");
        assert_eq!(endpoints.base(Product::Ecs, "r").unwrap().url(), "https://ecs.internal");
        assert!(!endpoints.is_loopback());
    }

    #[test]
    fn nodes_reach_objects_by_the_internal_host_unless_told_otherwise() {
        assert_eq!(
            Endpoints::default().node_object_url("cn-hangzhou", "kubelet", "causeway/a b.sh"),
            "https://kubelet.oss-cn-hangzhou-internal.aliyuncs.com/causeway/a%20b.sh"
        );
        let node = [("oss_node", "http://oss-cn-hangzhou-internal.aliyuncs.com")];
        assert_eq!(
            Endpoints::from_table(node).unwrap().node_object_url("r", "b", "k"),
            "http://b.oss-cn-hangzhou-internal.aliyuncs.com/k"
        );
    }

    #[test]
    fn unusable_endpoints_are_refused_by_name() {
        let error = Endpoints::from_table([("ecz", "http://x")]).unwrap_err();
        assert!(error.to_string().contains("`endpoints.ecz`"));
        for bad in ["ftp://x", "127.0.0.1:9000", "http://u:p@x", "http://x/path", "http://x?q"] {
            assert!(Endpoints::from_table([("all", bad)]).is_err(), "{bad}");
        }
    }
}

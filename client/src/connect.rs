//! The connection: address rules, TLS, and the token on every call.

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::address::Address;
use crate::error::Error;
use crate::retry::Patience;

/// The channel that all calls go through.
pub(crate) type Wire = InterceptedService<Channel, Bearer>;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which nothing moves is asked whether it is alive: a watch must notice a daemon that vanished.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemon.
    pub address: Address,
    /// Sent with every call.
    pub token: Option<Token>,
    /// For https.
    pub tls: Tls,
    /// How long to keep trying.
    pub patience: Patience,
}

impl Options {
    /// No token, the system's usual trust, the default patience.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, token: None, tls: Tls::default(), patience: Patience::default() }
    }
}

/// Certificates, PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Who may have signed the daemon's certificate. https needs it: no system store is used.
    pub authority: Option<Vec<u8>>,
    /// The client's own certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.identity.as_ref().map(|_| "[redacted]");
        formatter
            .debug_struct("Tls")
            .field("authority", &self.authority.is_some())
            .field("identity", &identity)
            .finish()
    }
}

/// A bearer token. It is never printed.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Token {
    /// From its text; white space around it is ignored.
    ///
    /// # Errors
    /// [`Error::Credentials`] where it can't stand in a header.
    pub fn new(text: &str) -> Result<Self, Error> {
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", text.trim()).parse().map_err(|_| Error::Credentials {
                what: "the token".to_owned(),
                why: "it has characters that no token has".to_owned(),
            })?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Puts the token on a call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<Token>);

impl Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.0.clone());
        }
        Ok(request)
    }
}

/// A channel that connects at its first call.
pub(crate) fn wire(options: &Options) -> Result<Wire, Error> {
    let address = &options.address;
    if options.token.is_some() && !address.is_secure() && !address.is_loopback() {
        return Err(Error::InsecureToken { address: address.to_string() });
    }
    // Another part of the program may have chosen one already; then that one is used.
    rustls::crypto::ring::default_provider().install_default().ok();
    let unusable = |error: tonic::transport::Error| Error::Credentials {
        what: format!("the TLS settings for {address}"),
        why: error.to_string(),
    };
    let endpoint = Endpoint::from_shared(address.to_string())
        .map_err(&unusable)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .user_agent(concat!("causeway-client/", env!("CARGO_PKG_VERSION")))
        .map_err(&unusable)?;
    let endpoint = if address.is_secure() {
        endpoint.tls_config(tls(options)?).map_err(&unusable)?
    } else {
        endpoint
    };
    Ok(InterceptedService::new(endpoint.connect_lazy(), Bearer(options.token.clone())))
}

fn tls(options: &Options) -> Result<ClientTlsConfig, Error> {
    let Some(authority) = &options.tls.authority else {
        return Err(Error::Credentials {
            what: format!("the TLS settings for {}", options.address),
            why: "https needs a ca_file: the certificates that may have signed the daemon's"
                .to_owned(),
        });
    };
    let tls = ClientTlsConfig::new()
        .domain_name(options.address.host())
        .ca_certificate(Certificate::from_pem(authority));
    Ok(match &options.tls.identity {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_never_goes_in_the_clear_to_another_machine() {
        let with_token = |address: &str| Options {
            token: Some(Token::new("t0ken").unwrap()),
            ..Options::new(address.parse().unwrap())
        };
        assert!(matches!(
            wire(&with_token("http://10.0.0.7:7443")),
            Err(Error::InsecureToken { .. })
        ));
        assert!(wire(&with_token("http://127.0.0.1:7443")).is_ok());
        assert!(matches!(
            wire(&with_token("https://10.0.0.7:7443")),
            Err(Error::Credentials { .. })
        ));
        assert!(!format!("{:?}", with_token("https://10.0.0.7:7443")).contains("t0ken"));
    }
}

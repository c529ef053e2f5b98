//! The server's certificate authority, its certificate, and a listener that speaks TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::serve::Listener;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that wait to be served.
const WAITING: usize = 64;

/// A certificate authority and what it has signed for the server.
pub(super) struct Certificates {
    /// The authority's certificate.
    pub ca_pem: String,
    /// For the listener.
    pub config: Arc<ServerConfig>,
}

impl Certificates {
    /// A new authority, and a server certificate for these names and addresses.
    pub(super) fn new(names: Vec<String>) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "kubernetes");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::CrlSign,
        ];
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)
            .context("making the API server's CA")?;
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate =
            server.signed_by(&key, &issuer).context("signing the API server's certificate")?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        Ok(Self { ca_pem: issuer.pem(), config: Arc::new(config) })
    }
}

/// Accepts connections and shakes hands with each apart, so that a slow one holds up nobody.
pub(super) struct TlsListener {
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Listens on a free port of 127.0.0.1; its work runs in `tasks`.
    pub(super) async fn bind(
        config: Arc<ServerConfig>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("binding the API server's port")?;
        let address = listener.local_addr()?;
        let (sender, accepted) = mpsc::channel(WAITING);
        tasks.spawn(accept(listener, TlsAcceptor::from(config), sender));
        Ok(Self { accepted, address })
    }

    /// Where it listens.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let mut handshakes = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors: others may close soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while handshakes.try_join_next().is_some() {}
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        handshakes.spawn(async move {
            // Small answers must not wait for the client's delayed acknowledgement.
            let prepared = stream.set_nodelay(true);
            if prepared.is_ok()
                && let Ok(Ok(stream)) =
                    tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
            {
                // The receiver is gone when the server stops: so may the connection be.
                sender.send((stream, peer)).await.ok();
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

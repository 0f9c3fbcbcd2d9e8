//! TLS to both servers, and to the console, with certificates that are made on the spot.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;
use crate::talker::Talker;
use crate::world::{NAME, World};

/// An authority of our own, what it has signed, and another authority, in files.
struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// The server's is for `localhost`, and for nothing else.
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let it = Self { directory };
        let ours = it.authority("ca");
        it.signed(&ours, "server", ExtendedKeyUsagePurpose::ServerAuth);
        it.signed(&ours, "client", ExtendedKeyUsagePurpose::ClientAuth);
        let others = it.authority("other-ca");
        it.signed(&others, "other-client", ExtendedKeyUsagePurpose::ClientAuth);
        it
    }

    fn authority(&self, name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), authority.pem()).unwrap();
        authority
    }

    fn signed(
        &self,
        authority: &CertifiedIssuer<'static, KeyPair>,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The address of the broker or its console, with these files.
    fn amqp(&self, url: &str, authority: &str, client: Option<&str>) -> String {
        self.with(url, ["cacertfile", "certfile", "keyfile"], authority, client)
    }

    /// The address of the database, with these files.
    fn postgresql(&self, url: &str, authority: &str, client: Option<&str>) -> String {
        self.with(url, ["sslrootcert", "sslcert", "sslkey"], authority, client)
    }

    fn with(&self, url: &str, names: [&str; 3], authority: &str, client: Option<&str>) -> String {
        let file = |name: &str, file: String| format!("{name}={}", self.file(&file).display());
        let mut files = vec![file(names[0], format!("{authority}.pem"))];
        if let Some(client) = client {
            files.push(file(names[1], format!("{client}.pem")));
            files.push(file(names[2], format!("{client}.key")));
        }
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}{}", files.join("&"))
    }
}

/// The name that the certificate has, in place of an address.
fn by_name(url: &str) -> String {
    url.replace("127.0.0.1", "localhost")
}

/// The broker: everything works with the right certificates, and goes on after the broker was killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_wants_certificates_gets_them() {
    let certificates = Certificates::new();
    let mut broker = Server::secure("rabbitmq", certificates.path()).await;
    let (address, console) = (broker.url.clone(), broker.console.clone().unwrap());
    broker.url = certificates.amqp(&by_name(&address), "ca", Some("client"));
    let mut world = World::on(None, Some(&broker)).await;
    let applied =
        world.program("topology apply --worker secured").env("AMQP_CONSOLE_URL", by_name(&console)).output();
    let applied = String::from_utf8(applied.unwrap().stdout).unwrap();
    let password =
        applied.lines().find_map(|line| line.split_once("shown once: ")).expect(&applied).1.to_owned();

    let coordinator = world.serve("coordinator", "--verify-machines");
    coordinator.ready().await;
    let (import, job) = world.register(NAME, "https://example.org/x.git").await;
    let machine = broker.url.replace("coordinator:coordinator", &format!("secured:{password}"));
    let run = json!({"job": job, "import": import, "run": uuid::Uuid::now_v7(), "machine": "secured"});
    let answer = Talker::new(&machine).await.ask_as("secured", "start", &run).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    broker.kill(Signal::KILL).await;
    coordinator.until_ready_says("unreadiness", |code, _| code == 503).await;
    broker.start_again().await;
    coordinator.ready().await;
    let answer = Talker::new(&machine).await.ask_as("secured", "start", &run).await;
    assert_eq!(answer["outcome"], "accepted", "the same word is a repeat: {answer}");
    coordinator.process.terminate().await;

    // The other way round: what is wrong is named, with what to do.
    for (url, expected) in [
        (
            certificates.amqp(&by_name(&address), "other-ca", Some("client")),
            "name the authority's file with cacertfile=",
        ),
        (certificates.amqp(&address, "ca", Some("client")), "use a name in the URL that the certificate has"),
        (
            certificates.amqp(&by_name(&address), "ca", None),
            "name its file with certfile= and its key's with keyfile=",
        ),
        (
            certificates.amqp(&by_name(&address), "ca", Some("other-client")),
            "does not trust the certificate of certfile=",
        ),
        (by_name(&address).replace("amqps", "amqp"), "cannot connect to RabbitMQ at localhost:"),
    ] {
        world.amqp_url = url;
        let ended = world.start("cli", "topology check").end().await;
        assert_eq!(ended.code, Some(3), "{expected}: {}", ended.text());
        assert!(ended.text().contains(expected), "{expected}: {}", ended.text());
        assert!(ended.text().contains("(the address is from AMQP_URL)"), "{}", ended.text());
    }
    world.amqp_url = broker.url.replace("coordinator:coordinator", "coordinator:wrong");
    let ended = world.start("cli", "topology check").end().await;
    assert_eq!(ended.code, Some(1), "{}", ended.text());
    assert!(ended.text().contains(" refused the account coordinator: ACCESS_REFUSED"), "{}", ended.text());

    world.amqp_url.clone_from(&broker.url);
    for (url, expected) in [
        (certificates.amqp(&by_name(&console), "other-ca", Some("client")), "with cacertfile="),
        (console.clone(), "use a name in the URL that the certificate has"),
        (certificates.amqp(&by_name(&console), "ca", None), "with certfile= and its key's with keyfile="),
    ] {
        let ended = world.start("cli", &format!("topology check --console-url {url}")).end().await;
        assert_eq!(ended.code, Some(3), "{expected}: {}", ended.text());
        assert!(ended.text().contains(expected), "{expected}: {}", ended.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_wants_certificates_gets_them() {
    let certificates = Certificates::new();
    let mut database = Server::secure("postgresql", certificates.path()).await;
    let address = database.url.clone();
    // Without TLS only those get in who look after the server: the test itself does.
    database.url = address.split_once('?').unwrap().0.to_owned();
    let mut world = World::on(Some(&database), None).await;
    world.database_url = certificates.postgresql(&by_name(&address), "ca", Some("client"));
    world.run("migrate").await;
    let coordinator = world.serve("coordinator", "");
    coordinator.ready().await;
    let in_tls = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND client_dn IS NOT NULL
        AND application_name LIKE 'code-imports%'";
    world.at_least(5, in_tls).await;
    database.kill(Signal::QUIT).await;
    coordinator.until_ready_says("unreadiness", |code, _| code == 503).await;
    database.start_again().await;
    coordinator.ready().await;
    coordinator.process.terminate().await;

    for (url, code, expected) in [
        (
            certificates.postgresql(&by_name(&address), "other-ca", Some("client")),
            3,
            "file with sslrootcert=",
        ),
        (
            certificates.postgresql(&address, "ca", Some("client")),
            3,
            "use a name in the URL that the certificate has",
        ),
        (
            certificates.postgresql(&by_name(&address), "ca", None),
            1,
            "with sslcert= and its key's with sslkey=",
        ),
        (
            certificates.postgresql(&by_name(&address), "ca", Some("other-client")),
            3,
            "the certificate of sslcert=",
        ),
        (certificates.postgresql(&by_name(&address), "missing", None), 2, "DATABASE_URL: sslrootcert=/"),
    ] {
        world.database_url = url;
        let ended = world.start("cli", "person list").end().await;
        assert_eq!(ended.code, Some(code), "{expected}: {}", ended.text());
        assert!(ended.text().contains(expected), "{expected}: {}", ended.text());
    }
}

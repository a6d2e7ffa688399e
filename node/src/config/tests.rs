//! The configuration: the commented default says what the code says, and bad values are named.

use super::{COMMENTED_DEFAULT, Config, ConfigError};

#[test]
fn the_commented_default_is_the_default_and_names_every_field() {
    let parsed = Config::parse(COMMENTED_DEFAULT).unwrap();
    assert_eq!(parsed, Config::default());
    parsed.check().unwrap();
    // Every field of the structs stands in the file, not only those that differ.
    let text = toml::to_string(&Config::default()).unwrap();
    let fields = |text: &str| -> Vec<String> {
        let keys = text.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key.to_owned()));
        let mut keys: Vec<String> = keys.filter(|key| !key.starts_with('#')).collect();
        keys.sort();
        keys
    };
    assert_eq!(fields(COMMENTED_DEFAULT), fields(&text));
    let commented = |line: &&str| !line.starts_with('#') && line.contains(" = ");
    let documented = COMMENTED_DEFAULT.lines().collect::<Vec<_>>();
    for (index, line) in documented.iter().enumerate().filter(|(_, line)| commented(line)) {
        let above = documented[..index].iter().rev().find(|above| !above.contains(" = "));
        assert!(above.is_some_and(|above| above.starts_with('#')), "{line} has no comment above it");
    }
}

fn refused(text: &str) -> ConfigError {
    Config::parse(text).unwrap().check().unwrap_err()
}

#[test]
fn values_out_of_range_are_named_with_bound_and_remedy() {
    let error = refused("[api]\nheader_timeout_ms = 1\n");
    assert_eq!(error.to_string(), "api.header_timeout_ms is 1: set it to 500 to 120000");
    let error = refused("[mempool]\ntransactions_max = 1000\n");
    assert!(matches!(
        error,
        ConfigError::PartAboveWhole { part: "mempool.institution_transactions_max", .. }
    ));
    assert!(matches!(refused("[consensus]\nheartbeat_ms = 1\n"), ConfigError::Consensus(_)));
    assert!(matches!(refused("[node]\npassphrase = \"hunter2\"\n"), ConfigError::Passphrase(_)));
    assert!(matches!(refused("[node]\ndata = \"\"\n"), ConfigError::EmptyPath { field: "node.data" }));
    let many = format!("[network]\nadvertise = [{}]\n", "\"10.0.0.1:1\",".repeat(5));
    assert!(matches!(refused(&many), ConfigError::TooMany { field: "network.advertise", given: 5, max: 4 }));
    assert!(Config::parse("[network]\nadvertise = [\"0.0.0.0:1\"]\n").is_err());
    for level in ["a=b=c", "", "loud", "info,loud", "yilian_node=loud", "info,"] {
        let told = refused(&format!("[log]\nlevel = \"{level}\"\n"));
        assert!(
            matches!(told, ConfigError::LogLevel { .. }) && told.to_string().contains("warn, info"),
            "{told}"
        );
    }
    for level in ["off", "WARN", "info,yilian_node::mempool=debug", "error,libp2p[dial]=trace"] {
        let text = format!("[log]\nlevel = \"{level}\"\n");
        Config::parse(&text).unwrap().check().unwrap();
    }
    for field in ["[api]\nlisten", "[network]\nlisten"] {
        let told = Config::parse(&format!("{field} = \"127.0.0.1\"\n")).unwrap_err().to_string();
        assert!(told.contains("write HOST:PORT"), "{told}");
    }
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_clear_word() {
    assert!(matches!(refused("[api]\nlisten = \"0.0.0.0:80\"\n"), ConfigError::TlsRequired { .. }));
    assert!(matches!(refused("[api]\ntls_key = \"key.pem\"\n"), ConfigError::TlsHalf));
    let allowed = [
        "[api]\nlisten = \"0.0.0.0:80\"\ninsecure = true\n",
        "[api]\nlisten = \"[::1]:80\"\n",
        "[api]\nlisten = \"0.0.0.0:80\"\ntls_certificate = \"c.pem\"\ntls_key = \"k.pem\"\n",
    ];
    for text in allowed {
        Config::parse(text).unwrap().check().unwrap();
    }
}

#[test]
fn unknown_fields_are_refused_by_name() {
    let error = Config::parse("[api]\nlissten = \"127.0.0.1:1\"\n").unwrap_err();
    assert!(error.to_string().contains("lissten"), "{error}");
    assert!(Config::parse("[apis]\n").is_err());
    assert!(Config::parse("[api]\nconnections_max = \"many\"\n").is_err());
}

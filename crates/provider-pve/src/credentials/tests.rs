use secrecy::{ExposeSecret, SecretString};

use super::{ApiToken, CredentialError, TokenShapeError, TokenSource, pass};

const SECRET: &str = "11111111-2222-4333-8444-555566667777";

fn parse(text: &str) -> Result<ApiToken, TokenShapeError> {
    ApiToken::parse(&SecretString::from(text))
}

#[test]
fn accepts_every_documented_form() {
    for text in [
        format!("pvx@pve!cli\n{SECRET}\n"),
        format!("pvx@pve!cli\r\n{SECRET}\r\nurl: https://pve1.lab.example\n"),
        format!("pvx@pve!cli={SECRET}"),
        format!("  PVEAPIToken=pvx@pve!cli={SECRET}\n"),
    ] {
        let token = parse(&text).unwrap();
        assert_eq!(token.id, "pvx@pve!cli");
        assert_eq!(token.secret.expose_secret(), SECRET);
    }
}

#[test]
fn names_what_is_wrong_without_saying_the_secret() {
    let cases = [
        ("", TokenShapeError::Empty),
        ("\n\n", TokenShapeError::Empty),
        ("pvx@pve!cli", TokenShapeError::NoSecret),
        ("pvx@pve!cli\n\n", TokenShapeError::NoSecret),
        ("pvx!cli\nx", TokenShapeError::Id),
        ("pvx@pve\nx", TokenShapeError::Id),
        ("@pve!cli\nx", TokenShapeError::Id),
        ("pvx@pve!9cli\nx", TokenShapeError::Id),
        ("a b@pve!cli\nx", TokenShapeError::Id),
        ("pvx@pve!cli=hunter2", TokenShapeError::Secret),
        ("pvx@pve!cli\n11111111-2222-4333-8444-55556666777g", TokenShapeError::Secret),
        ("pvx@pve!cli\n11111111222243338444555566667777", TokenShapeError::Secret),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error, expected, "{text:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn a_token_shows_its_id_alone() {
    let token = parse(&format!("root@pam!lab={SECRET}")).unwrap();
    let shown = format!("{token:?} {:?}", token.header_value());
    assert!(shown.contains("root@pam!lab"), "{shown}");
    assert!(!shown.contains("11111111"), "{shown}");
    let header = token.header_value().unwrap();
    assert!(header.is_sensitive());
    assert_eq!(header.to_str().unwrap(), format!("PVEAPIToken=root@pam!lab={SECRET}"));
}

#[tokio::test]
async fn loads_inline_and_from_a_file() {
    let text = format!("pvx@pve!cli\n{SECRET}\n");
    let inline = TokenSource::Inline(SecretString::from(text.clone()));
    assert_eq!(inline.load().await.unwrap().id, "pvx@pve!cli");
    assert!(!format!("{inline:?}").contains("11111111"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, text).unwrap();
    assert_eq!(TokenSource::File(path).load().await.unwrap().id, "pvx@pve!cli");
}

#[tokio::test]
async fn errors_name_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing-here");
    let error = TokenSource::File(missing).load().await.unwrap_err().to_string();
    assert!(error.contains("nothing-here"), "{error}");

    let bad = folder.path().join("bad");
    std::fs::write(&bad, "pvx@pve!cli=hunter2").unwrap();
    let error = TokenSource::File(bad).load().await.unwrap_err().to_string();
    assert!(error.contains("bad") && error.contains("uuid"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");

    let option = TokenSource::Pass { path: "--clip".to_owned() };
    assert!(matches!(option.load().await, Err(CredentialError::PassEntryName { .. })));
}

#[tokio::test]
async fn pass_gives_its_output_or_its_standard_error() {
    let script = format!("printf '%s\\n' 'pvx@pve!cli' '{SECRET}'");
    let text = pass::run("sh", &["-c", &script], "lab/pve").await.unwrap();
    assert_eq!(ApiToken::parse(&text).unwrap().id, "pvx@pve!cli");

    let script = "echo 'Error: lab/pve is not in the password store.' >&2; exit 1";
    let error = pass::run("sh", &["-c", script], "lab/pve").await.unwrap_err().to_string();
    assert!(error.contains("pass show lab/pve"), "{error}");
    assert!(error.contains("is not in the password store"), "{error}");

    let error = pass::run("pvx-no-such-program", &[], "lab/pve").await.unwrap_err();
    assert!(matches!(error, CredentialError::PassNotRun { .. }));
}

//! Whatever the node answers to the tests of the API is what its description says: a status that the operation has, and a body
//! that fits the schema.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::api::openapi;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&openapi()).unwrap());
/// By the schema, which is a reference mostly.
static VALIDATORS: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Checks an answer to a request for a path.
pub fn check(method: &Method, path: &str, status: StatusCode, body: &Value) {
    let at = format!("{method} {path} {status}");
    let Some(operation) = operation(method, path) else {
        assert!(status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED, "{at}");
        return;
    };
    let answer = &operation["responses"][status.as_str()];
    assert!(answer.is_object(), "{at} is not described");
    match &answer["content"]["application/json"]["schema"] {
        Value::Null => {}
        schema => {
            let found: Vec<String> = validator(schema)
                .iter_errors(body)
                .map(|error| format!("{} {error}", error.instance_path()))
                .collect();
            assert!(found.is_empty(), "{at}: {found:#?} in {body:#}");
        }
    }
}

/// What the description says of a path: the template of which most parts are the path's own.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or(path);
    let fits = |template: &&String| {
        let mut parts = template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts.all(|(template, part)| template == part || template.starts_with('{') && !part.is_empty())
    };
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let template = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count())?;
    paths[template].get(method.as_str().to_lowercase())
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let made = validators.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": DESCRIPTION["components"] });
        Arc::new(jsonschema::draft202012::new(&whole).unwrap())
    });
    Arc::clone(made)
}

#[test]
fn every_answer_has_examples_that_fit() {
    let mut answers = 0;
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let content = &answer["content"]["application/json"];
                // The description itself is the only answer whose schema is no component.
                if content["schema"]["$ref"].is_null() {
                    continue;
                }
                let at = format!("{method} {path} {status}");
                let examples = content["examples"].as_object().expect(&at);
                assert!(!examples.is_empty(), "{at}");
                for name in examples.keys() {
                    let example = &DESCRIPTION["components"]["examples"][name]["value"];
                    let found: Vec<String> = validator(&content["schema"])
                        .iter_errors(example)
                        .map(|error| error.to_string())
                        .collect();
                    assert!(
                        example.is_object() && found.is_empty(),
                        "{at} {name}: {found:#?} in {example:#}"
                    );
                }
                answers += 1;
            }
        }
    }
    assert!(answers > 300, "{answers} answers");
}

#[test]
fn an_answer_that_does_not_fit_is_found() {
    let none = json!({ "items": [], "next_cursor": null, "height": 1 });
    check(&Method::GET, "/v1/grants?limit=1", StatusCode::OK, &none);
    check(&Method::GET, "/v1/no-such-path", StatusCode::NOT_FOUND, &none);
    let fails = |path: &'static str, status: StatusCode, body: Value| {
        let checked = std::panic::catch_unwind(|| check(&Method::GET, path, status, &body));
        assert!(checked.is_err(), "{path} {status} {body}");
    };
    fails("/v1/grants", StatusCode::OK, json!({ "items": [{}], "next_cursor": null, "height": 1 }));
    fails("/v1/grants", StatusCode::OK, json!({ "items": [], "next_cursor": null }));
    fails("/v1/grants", StatusCode::OK, json!({ "items": [], "next_cursor": 5, "height": 1 }));
    fails("/v1/grants", StatusCode::IM_A_TEAPOT, none.clone());
    fails("/v1/no-such-path", StatusCode::OK, none);
}

//! `GET /v1/openapi.json`: the operations as an OpenAPI 3.1 document, made of what serves them.

use http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::content::{Described, Json};
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::scope::Scope;

/// What any operation may answer instead, and what any with a token may. The rest depends on what it takes.
const ALWAYS: [StatusCode; 4] =
    [StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
const WITH_TOKEN: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
const WITH_BODY: [StatusCode; 4] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::UNPROCESSABLE_ENTITY];
const CHANGING: [StatusCode; 2] = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];

/// The document itself.
#[derive(Debug, Serialize)]
pub struct Document(Value);

/// The operation that shows them all.
pub fn operations() -> Vec<Operation> {
    vec![Operation::get("/v1/openapi.json", Scope::Read, "This description of the API.", show)]
}

async fn show(call: Call) -> Result<Json<Document>, Problem> {
    Ok(Json(describe(&call.admin.operations)))
}

/// Describes these operations.
pub fn describe(operations: &[Operation]) -> Document {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    let problem = generator.subschema_for::<Problem>();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe_one(operation, &problem, &mut generator);
    }
    Document(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Changes a live gateway. Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": generator.take_definitions(true),
        },
    }))
}

fn describe_one(operation: &Operation, problem: &Schema, generator: &mut SchemaGenerator) -> Value {
    let content = (operation.content)(generator);
    let mut responses = Map::new();
    for status in errors(operation, content.is_some()) {
        responses.insert(status.as_u16().to_string(), response(status, Some(("application/problem+json", problem.clone()))));
    }
    for (status, described) in (operation.answers)(generator) {
        responses.insert(status.as_u16().to_string(), response(status, described));
    }
    let mut described = json!({
        "operationId": id(operation),
        "summary": operation.summary,
        "parameters": parameters(operation, generator),
        "responses": responses,
        "security": [],
    });
    if let Some(scope) = operation.scope {
        described["security"] = json!([{"token": []}]);
        described["description"] = format!("Needs a token with the scope `{scope}`.").into();
    }
    if let Some((kind, schema)) = content {
        described["requestBody"] = json!({"required": true, "content": {kind: {"schema": body(operation, schema, generator)}}});
    }
    described
}

/// What a body has to be. Where the path names a resource, the body need not do so once more.
fn body(operation: &Operation, schema: Schema, generator: &SchemaGenerator) -> Value {
    let schema = schema.to_value();
    let definition = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/"));
    let Some(named) = definition.filter(|_| operation.path.ends_with("/{name}")).and_then(|name| generator.definitions().get(name)) else {
        return schema;
    };
    let mut unnamed = named.clone();
    if let Some(required) = unnamed["required"].as_array_mut() {
        required.retain(|field| field != "name");
    }
    unnamed
}

fn errors(operation: &Operation, has_body: bool) -> Vec<StatusCode> {
    let mut errors = ALWAYS.to_vec();
    if operation.scope.is_some() {
        errors.extend(WITH_TOKEN);
    }
    if operation.path.contains('{') {
        errors.extend([StatusCode::NOT_FOUND, StatusCode::CONFLICT]);
    }
    if has_body {
        errors.extend(WITH_BODY);
    }
    if operation.method != http::Method::GET {
        errors.extend(CHANGING);
        errors.push(StatusCode::UNPROCESSABLE_ENTITY);
    }
    errors
}

fn response(status: StatusCode, described: Option<Described>) -> Value {
    let description = status.canonical_reason().unwrap_or("Answer");
    match described {
        Some((kind, schema)) => json!({"description": description, "content": {kind: {"schema": schema}}}),
        None => json!({"description": description}),
    }
}

/// `GET /v1/upstreams/{name}` is `get_upstreams_name`.
fn id(operation: &Operation) -> String {
    let words = operation.path.split('/').filter(|word| !word.is_empty() && *word != "v1");
    let words = words.map(|word| word.trim_matches(['{', '}']).replace(['.', '-'], "_"));
    [operation.method.as_str().to_ascii_lowercase()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let names = operation.path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    let path = names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let query = (operation.query)(generator);
    let required = |name: &str| query.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|one| one == name));
    let properties = query.get("properties").and_then(Value::as_object).into_iter().flatten();
    let query = properties.map(|(name, schema)| json!({"name": name, "in": "query", "required": required(name), "schema": schema}));
    path.chain(query).collect()
}

impl JsonSchema for Document {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenApi".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "description": "An OpenAPI 3.1 document."})
    }
}

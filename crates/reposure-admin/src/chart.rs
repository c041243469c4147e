//! The plan of the operator as templates of a Helm chart.
//!
//! Templates are made by comparing plans: each is the plan with every choice taken, and what goes away with a choice that is not taken
//! stands behind a condition. So the chart holds what the plan does, whatever becomes of that. What is said to people (`values.yaml`, its
//! schema, the notes) is written by hand, and `_helpers.tpl` with it.

mod lines;

use crate::{
    manifests::{HEAD, ManifestError, document},
    object::Object,
    plan::{self, LogFormat, OperatorOptions, Scope},
};

/// What keeps Helm from deleting an object: with the definition every `Registry` would go.
const KEEP: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// What stands for a value in the plan until the template's expression takes its place: plain scalars in YAML.
const NAMESPACE: &str = "reposure-chart-namespace";
const WATCHED: &str = "reposure-chart-watched";
const IMAGE: &str = "reposure-chart-image";
const SECRET: &str = "reposure-chart-secret";
const ROLE: &str = "reposure-chart-role";
const ARCHITECTURE: &str = "reposure-chart-architecture";
/// Of two that there are, one that is the item of no list but the operator's arguments.
const FORMAT: LogFormat = LogFormat::Json;
/// What begins all of them.
const MARK: &str = "reposure-chart-";

/// What a user of the chart chooses, and the plan without it.
struct Choice {
    condition: &'static str,
    without: fn(&mut OperatorOptions),
}

const CHOICES: [Choice; 7] = [
    Choice { condition: "$.Values.execPolicy", without: |options| options.exec_policy = false },
    Choice { condition: "$.Values.networkPolicies", without: |options| options.network_policies = false },
    Choice { condition: "$.Values.role", without: |options| options.role = None },
    Choice { condition: "$.Values.imagePullSecret", without: |options| options.pull_secret = None },
    Choice { condition: "$.Values.architectures", without: |options| options.architectures.clear() },
    Choice { condition: "$.Values.logFormat", without: |options| options.log_format = None },
    Choice { condition: "gt (int $.Values.replicas) 1", without: |options| options.replicas = 1 },
];
/// The choice that is a change rather than an addition: everything that is for it, or for single namespaces.
const FOR_CLUSTER: &str = "$.Values.cluster";

/// A file of the chart.
#[derive(Debug)]
pub struct ChartFile {
    /// The path in the chart.
    pub path: &'static str,
    /// What is in it.
    pub text: String,
}

/// Returns the files that are generated, with the version of this crate.
///
/// # Errors
/// [`ManifestError`], if the plan holds what no template can be made of.
pub fn files() -> Result<Vec<ChartFile>, ManifestError> {
    Ok(vec![
        ChartFile { path: "Chart.yaml", text: about() },
        ChartFile { path: "templates/definition.yaml", text: definition()? },
        ChartFile { path: "templates/operator.yaml", text: operator()? },
    ])
}

fn about() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (home, licence) = (env!("CARGO_PKG_REPOSITORY"), env!("CARGO_PKG_LICENSE"));
    format!(
        "{HEAD}apiVersion: v2\nname: reposure\ndescription: The operator of Reposure, which keeps a surrogate for every Registry\n\
         type: application\nversion: {version}\nappVersion: {version}\nhome: {home}\nsources:\n- {home}\nannotations:\n  \
         artifacthub.io/license: {licence}\n"
    )
}

fn definition() -> Result<String, ManifestError> {
    let mut text = format!("{HEAD}{{{{- if $.Values.crd }}}}\n");
    for object in plan::definition().objects() {
        let mut object = object.clone();
        let (key, value) = KEEP;
        object.metadata_mut().annotations.get_or_insert_default().insert(key.into(), value.into());
        text.push_str(&template(&object, 0)?);
    }
    text.push_str("{{- end }}\n");
    Ok(text)
}

/// Returns the plan with every choice taken, for single namespaces or for the cluster.
fn everything(scope: Scope) -> OperatorOptions {
    OperatorOptions {
        namespace: NAMESPACE.into(),
        scope,
        image: IMAGE.into(),
        pull_secret: Some(SECRET.into()),
        role: Some(ROLE.into()),
        replicas: 2,
        architectures: vec![ARCHITECTURE.into()],
        log_format: Some(FORMAT),
        network_policies: true,
        exec_policy: true,
        crd: false,
    }
}

fn operator() -> Result<String, ManifestError> {
    let (named, all) = (everything(Scope::Namespaces(vec![WATCHED.into()])), everything(Scope::Cluster));
    let mut text = String::from(HEAD);
    for object in plan::operator(&named).objects() {
        let mut document = conditional(object, &named)?;
        match find(&all, object) {
            // It is for single namespaces: one for each.
            None => document = each(&document),
            Some(other) => {
                let other = conditional(&other, &all)?;
                document = lines::choose(FOR_CLUSTER, &other, &document);
            }
        }
        text.push_str(&document);
    }
    for object in plan::operator(&all).objects() {
        if find(&named, object).is_none() {
            text.push_str(&lines::only_if(FOR_CLUSTER, &conditional(object, &all)?));
        }
    }
    Ok(text)
}

/// Repeats a document for each namespace that is seen to.
fn each(document: &str) -> String {
    format!(
        "{{{{- if not {FOR_CLUSTER} }}}}\n{{{{- range $namespace := include \"reposure.namespaces\" $ | fromJsonArray }}}}\n\
         {document}{{{{- end }}}}\n{{{{- end }}}}\n"
    )
}

/// Returns the document of `object` of the plan of `options`, with each choice that it depends on.
fn conditional(object: &Object, options: &OperatorOptions) -> Result<String, ManifestError> {
    let whole = template(object, options.replicas)?;
    let (mut parts, mut condition) = (Vec::new(), None);
    for choice in &CHOICES {
        let mut without = options.clone();
        (choice.without)(&mut without);
        match find(&without, object) {
            None => condition = Some(choice.condition),
            Some(other) => {
                let other = template(&other, without.replicas)?;
                parts.extend(lines::missing(&whole, &other).map(|part| (part, choice.condition)));
            }
        }
    }
    let document = lines::guarded(&whole, &parts);
    Ok(condition.map_or_else(|| document.clone(), |condition| lines::only_if(condition, &document)))
}

/// Finds in the plan of `options` what `object` is there.
fn find(options: &OperatorOptions, object: &Object) -> Option<Object> {
    // What belongs to the cluster may have the operator's namespace at its name.
    let key = |object: &Object| {
        let name = object.name();
        let plain = name.name.strip_suffix(&format!(".{NAMESPACE}")).unwrap_or(&name.name).to_owned();
        (name.kind, name.namespace, plain)
    };
    plan::operator(options).objects().find(|other| key(other) == key(object)).cloned()
}

/// Writes a document with expressions in place of what stands for values.
fn template(object: &Object, replicas: u16) -> Result<String, ManifestError> {
    let mut text = document(object)?;
    if text.contains("{{") {
        return Err(ManifestError::Template(object.name()));
    }
    let list = |text: &str, mark: &str, expression: &str| {
        // In the form of JSON, which stands on the line of its key.
        let item = format!("- {mark}\n");
        let mut parts = text.split(&item);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |before, after| match before.trim_end_matches(' ').strip_suffix("values:\n") {
            Some(head) => format!("{head}values: {expression}\n{after}"),
            None => format!("{before}{item}{after}"),
        })
    };
    text = list(&text, ARCHITECTURE, "{{ toJson $.Values.architectures }}");
    text = list(&text, WATCHED, "{{ include \"reposure.namespaces\" $ }}");
    for (mark, expression) in [
        (format!("replicas: {replicas}\n"), "replicas: {{ $.Values.replicas }}\n"),
        (format!("- {ARCHITECTURE}\n"), "- {{ join \",\" $.Values.architectures | quote }}\n"),
        (format!("- {FORMAT}\n"), "- {{ $.Values.logFormat }}\n"),
        (
            format!("- {WATCHED}\n"),
            "- {{ include \"reposure.namespaces\" $ | fromJsonArray | join \",\" | quote }}\n",
        ),
        (format!(" {WATCHED}\n"), " {{ $namespace | quote }}\n"),
        (format!(".{NAMESPACE}\n"), ".{{ $.Release.Namespace }}\n"),
        (format!(" {NAMESPACE}\n"), " {{ $.Release.Namespace | quote }}\n"),
        (format!(" {IMAGE}\n"), " {{ include \"reposure.image\" $ | quote }}\n"),
        (format!(" {SECRET}\n"), " {{ $.Values.imagePullSecret | quote }}\n"),
        (format!(" {ROLE}\n"), " {{ $.Values.role | quote }}\n"),
        (format!("-{ROLE}\n"), "-{{ $.Values.role }}\n"),
        ("managed-by: reposure-cli\n".into(), "managed-by: {{ $.Release.Service }}\n"),
    ] {
        text = text.replace(&mark, expression);
    }
    if text.contains(MARK) { Err(ManifestError::Template(object.name())) } else { Ok(text) }
}

{{/* The image of operator and surrogates. */}}
{{- define "reposure.image" -}}
{{ $.Values.image | default (printf "docker.io/reposure/reposure:%s" $.Chart.AppVersion) }}
{{- end }}

{{/* The namespaces that an operator sees to which is not for the cluster, as JSON. */}}
{{- define "reposure.namespaces" -}}
{{ toJson ($.Values.watch | default (list $.Release.Namespace)) }}
{{- end }}

{{/* Peers of a NetworkPolicy, from namespaceLabels, podLabels and cidrs; nothing where none of them is given. */}}
{{- define "training.peers" -}}
{{- $peers := list -}}
{{- $selectors := dict -}}
{{- with .namespaceLabels }}{{ $_ := set $selectors "namespaceSelector" (dict "matchLabels" .) }}{{ end -}}
{{- with .podLabels }}{{ $_ := set $selectors "podSelector" (dict "matchLabels" .) }}{{ end -}}
{{- with $selectors }}{{ $peers = append $peers . }}{{ end -}}
{{- range .cidrs }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- with $peers }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The port of a URL, or that of its scheme. */}}
{{- define "training.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}

{{/* Where MLflow's server goes out to, besides names: the ports of its database and of its bucket, and those named. */}}
{{- define "training.serverPorts" -}}
{{- $mlflow := .Values.mlflow -}}
{{- $ports := list -}}
{{- if $mlflow.database.existingSecret }}{{ $ports = append $ports (int64 $mlflow.database.port) }}{{ end -}}
{{- if $mlflow.s3.bucket }}{{ $ports = append $ports (include "training.port" ($mlflow.s3.endpoint | default "https://s3" | trimSuffix "/") | int64) }}{{ end -}}
{{- range .Values.networkPolicy.mlflowPorts }}{{ $ports = append $ports (int64 .) }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* A rule of egress that lets names be asked for. */}}
{{- define "training.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ int64 . }}, protocol: UDP}
    - {port: {{ int64 . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* A rule of egress that lets ports be called anywhere; a list of ports. */}}
{{- define "training.egress" -}}
- ports:
    {{- range . }}
    - {port: {{ int64 . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* Peers of a NetworkPolicy, from namespaceLabels, podLabels and cidrs; nothing where none of them is given. */}}
{{- define "serving.peers" -}}
{{- $peers := list -}}
{{- $selectors := dict -}}
{{- with .namespaceLabels }}{{ $_ := set $selectors "namespaceSelector" (dict "matchLabels" .) }}{{ end -}}
{{- with .podLabels }}{{ $_ := set $selectors "podSelector" (dict "matchLabels" .) }}{{ end -}}
{{- with $selectors }}{{ $peers = append $peers . }}{{ end -}}
{{- range .cidrs }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- with $peers }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The port of the collector's URL, or that of its scheme. */}}
{{- define "serving.otlpPort" -}}
{{- $url := urlParse .root.Values.otlp.endpoint -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}

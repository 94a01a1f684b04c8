{{/*
Peers of a NetworkPolicy, from namespaces, namespaceLabels, podLabels and cidrs; nothing where none of them is given.
Each namespace that is named, and all that have the labels, are a peer of their own.
*/}}
{{- define "serving.peers" -}}
{{- $spaces := list -}}
{{- range .namespaces -}}
{{- $spaces = append $spaces (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .))) -}}
{{- end -}}
{{- with .namespaceLabels }}{{ $spaces = append $spaces (dict "namespaceSelector" (dict "matchLabels" .)) }}{{ end -}}
{{- if and .podLabels (not $spaces) }}{{ $spaces = list dict }}{{ end -}}
{{- $peers := list -}}
{{- range $space := $spaces -}}
{{- with $.podLabels }}{{ $_ := set $space "podSelector" (dict "matchLabels" .) }}{{ end -}}
{{- $peers = append $peers $space -}}
{{- end -}}
{{- range .cidrs }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- with $peers }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
Where pods may go out to, as rules: names, the collector by the port of its URL, and the canary with copies; nothing where
there is neither. Networks that look at a packet after the Service's address has become a pod's see that pod's port
instead; such ports are values.
*/}}
{{- define "serving.egress" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $canary := .root.Values.canary.enabled -}}
{{- $url := urlParse .root.Values.otlp.endpoint -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- if or $url.host $canary }}
- ports:
    {{- range $policy.dns.ports }}
    - {port: {{ int64 . }}, protocol: UDP}
    - {port: {{ int64 . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- if $url.host }}
- ports:
    {{- range prepend $policy.otlp.ports $port }}
    - {port: {{ int64 . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- if $canary }}
- ports: [{port: 3000, protocol: TCP}]
  to:
    - podSelector:
        matchLabels:
          {{- include "serving.selector" (dict "root" .root "track" "canary") | nindent 10 }}
{{- end }}
{{- end -}}

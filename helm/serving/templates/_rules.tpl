{{/*
Groups of the PrometheusRule, each a template of its own that takes root, and what they are made of.

serving.rules.objectives records every number of the slo block as a series named after its place, in its unit:
slo.latency.threshold is slo:latency:threshold. Dashboards draw these, so no threshold is written twice.
*/}}
{{- define "serving.rules.objectives" -}}
rules:
  {{- range $group, $numbers := .root.Values.slo }}
  {{- range $name, $number := $numbers }}
  {{- $expr := printf "vector(%s)" (toJson $number) }}
  {{- include "serving.rules.record" (dict "root" $.root "name" (printf "slo:%s:%s" $group $name) "expr" $expr) | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/*
A time in PromQL: root, and seconds. prometheusRule.speedup divides all of them, here and nowhere else, so that a test
sees in minutes what takes hours; the names of series keep the window that they stand for.
*/}}
{{- define "serving.rules.time" -}}
{{- $seconds := max 1 (div (int64 .seconds) (int64 .root.Values.prometheusRule.speedup)) -}}
{{- if eq (mod $seconds 86400) 0 }}{{ div $seconds 86400 }}d
{{- else if eq (mod $seconds 3600) 0 }}{{ div $seconds 3600 }}h
{{- else if eq (mod $seconds 60) 0 }}{{ div $seconds 60 }}m
{{- else }}{{ $seconds }}s{{ end -}}
{{- end -}}

{{/* Matchers of what is scraped from this release. */}}
{{- define "serving.rules.own" -}}
namespace="{{ .root.Release.Namespace }}",release="{{ .root.Release.Name }}"
{{- end -}}

{{/* Matchers of containers of servers in this namespace as the kubelet names them, those of other releases included. */}}
{{- define "serving.rules.container" -}}
namespace="{{ .root.Release.Namespace }}",container="server"
{{- end -}}

{{/*
What leaves this release's pods of a series of the kubelet: names of pods cannot be told from those of other releases,
and Kubernetes cuts them short.
*/}}
{{- define "serving.rules.itsPods" -}}
and on (namespace, pod) up{{ printf "{%s}" (include "serving.rules.own" .) }}
{{- end -}}

{{/* Matchers of requests that ask for something: neither health nor documentation, which load balancers poll. */}}
{{- define "serving.rules.asked" -}}
{{ include "serving.rules.own" . }},route!~"/v2/health/.*|/v2/models/.*ready|Server.*|ModelReady|/docs.*|/openapi.json|/static_content/.*"
{{- end -}}

{{/* A recording rule: root, name, expr, and labels beside the release's. */}}
{{- define "serving.rules.record" -}}
- record: {{ .name }}
  expr: |-
    {{- .expr | trim | nindent 4 }}
  labels:
    {{- include "serving.rules.labels" . | nindent 4 }}
{{- end -}}

{{- define "serving.rules.labels" -}}
namespace: {{ .root.Release.Namespace | quote }}
release: {{ .root.Release.Name | quote }}
{{- range $name, $value := .labels }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/*
An alerting rule: root, name, expr, severity (page or ticket), summary, description, and, where there are such, for
(seconds) and labels.
*/}}
{{- define "serving.rules.alert" -}}
{{- $values := .root.Values -}}
- alert: {{ .name }}
  expr: |-
    {{- .expr | trim | nindent 4 }}
  {{- with .for }}
  for: {{ include "serving.rules.time" (dict "root" $.root "seconds" .) }}
  {{- end }}
  labels:
    {{- include "serving.rules.labels" . | nindent 4 }}
    severity: {{ .severity }}
  annotations:
    summary: {{ .summary | quote }}
    description: {{ .description | quote }}
    dashboard: {{ include "serving.rules.dashboard" .name }}
    {{- with $values.grafana.url }}
    dashboard_url: {{ printf "%s/d/%s?var-namespace=%s&var-release=%s" (trimSuffix "/" .) (include "serving.rules.dashboard" $.name) $.root.Release.Namespace $.root.Release.Name | quote }}
    {{- end }}
    runbook_url: {{ printf "%s/%s.md" (trimSuffix "/" $values.prometheusRule.runbookUrl) .name | quote }}
{{- end -}}

{{/* A number of seconds as Prometheus 3 writes the edge of a bucket: 1 is 1.0. */}}
{{- define "serving.rules.edge" -}}
{{- $text := toJson . -}}
{{- ternary $text (printf "%s.0" $text) (contains "." $text) -}}
{{- end -}}

{{/* The uid of the dashboard that says why an alert fires. */}}
{{- define "serving.rules.dashboard" -}}
predictiondex-
{{- if regexMatch "Drift|Accuracy|TooOld" . }}model
{{- else if regexMatch "Cpu|Memory|Disk|Crash|Autoscaler" . }}resources
{{- else if regexMatch "Canary|Versions" . }}rollout
{{- else }}service{{ end -}}
{{- end -}}

{{/* A quantity of Kubernetes as a number: cores or bytes. */}}
{{- define "serving.rules.amount" -}}
{{- $text := toString .quantity -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- mulf $number (get $units (regexReplaceAll "^[0-9.]+" $text "")) -}}
{{- end -}}

{{/* A share in PromQL of a number in percent. */}}
{{- define "serving.rules.share" -}}
{{- divf (float64 .) 100 -}}
{{- end -}}

{{/*
Pairs of windows whose burn rate an objective could reach at all, as JSON: objective, and alert, BurnFast or BurnSlow.
A budget of 10 percent cannot be burnt 14.4 times as fast as it may: nothing is more than wrong.
*/}}
{{- define "serving.rules.burns" -}}
{{- $budget := subf 1 (divf (float64 .objective) 100) -}}
{{- $pairs := ternary (list (dict "factor" 14.4 "long" "1h" "short" "5m" "seconds" 3600) (dict "factor" 6.0 "long" "6h" "short" "30m" "seconds" 21600)) (list (dict "factor" 3.0 "long" "1d" "short" "2h" "seconds" 86400) (dict "factor" 1.0 "long" "3d" "short" "6h" "seconds" 259200)) (eq .alert "BurnFast") -}}
{{- $possible := list -}}
{{- range $pairs }}
{{- if lt (mulf .factor $budget) 1.0 }}{{ $possible = append $possible . }}{{ end }}
{{- end }}
{{- toJson $possible -}}
{{- end -}}

{{/* Sentences on what is left out, for NOTES: one a line. */}}
{{- define "serving.rules.leftOut" -}}
{{- $values := .root.Values -}}
{{- range $slo, $objective := dict "availability" $values.slo.availability.objective "latency" $values.slo.latency.objective }}
{{- $possible := list }}
{{- range list "BurnFast" "BurnSlow" }}
{{- range include "serving.rules.burns" (dict "objective" $objective "alert" .) | fromJsonArray }}{{ $possible = append $possible .factor }}{{ end }}
{{- end }}
{{- $out := list }}
{{- range list 14.4 6.0 3.0 1.0 }}{{ if not (has . $possible) }}{{ $out = append $out (printf "%vx" .) }}{{ end }}{{ end }}
{{- with $out }}
- slo.{{ $slo }}.objective: {{ $objective }} percent leaves so large a budget that no error rate burns it {{ join ", " . }} as fast; those alerts are left out.
{{- end }}
{{- end }}
{{- if not $values.resources.limits.cpu }}
- resources.limits.cpu: there is no limit, so there is no alert on the CPU's use (ModelCpuHigh).
{{- end }}
{{- if eq (int64 $values.autoscaling.min) (int64 $values.autoscaling.max) }}
- autoscaling: min is max, so there is no alert on reaching it (ModelAutoscalerAtMaximum).
{{- end }}
{{- if not (contains "://" $values.prometheusRule.runbookUrl) }}
- prometheusRule.runbookUrl: it is no URL, so the runbook_url of alerts is no link.
{{- end }}
{{- if gt (int64 $values.prometheusRule.speedup) 1 }}
- prometheusRule.speedup: windows and waits are {{ int64 $values.prometheusRule.speedup }} times shorter than their names say; for tests alone.
{{- end }}
{{- end -}}

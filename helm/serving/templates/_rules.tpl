{{/*
Groups of the PrometheusRule, each a template of its own that takes root.

serving.rules.objectives records every number of the slo block as a series named after its place, in its unit:
slo.latency.threshold is slo:latency:threshold. Dashboards draw these, so no threshold is written twice.
*/}}
{{- define "serving.rules.objectives" -}}
- name: {{ include "serving.name" . }}.objectives
  rules:
    {{- range $group, $numbers := .root.Values.slo }}
    {{- range $name, $number := $numbers }}
    - record: slo:{{ $group }}:{{ $name }}
      expr: vector({{ toJson $number }})
      labels:
        namespace: {{ $.root.Release.Namespace | quote }}
        release: {{ $.root.Release.Name | quote }}
    {{- end }}
    {{- end }}
{{- end -}}

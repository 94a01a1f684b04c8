{{/* Settings under the names of docs/settings.md. toJson, since %v writes large numbers as 1e+06. */}}
{{- define "serving.environment" -}}
{{- $values := .root.Values -}}
- name: BENTOML_DO_NOT_TRACK
  value: "True"
- name: PDX_SCRATCH
  value: /tmp
- name: PDX_TRACK
  value: {{ .track }}
- name: PDX_SHADOW_FILE
  value: /etc/predictiondex/shadow/shadow.json
- name: PDX_SHADOW_TARGET
  value: {{ printf "http://%s:3000" (include "serving.name" (dict "root" .root "track" "canary")) | quote }}
{{- with $values.canary.header.value }}
- name: PDX_COHORT_HEADER
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := $values.settings }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- range $group, $secret := include "serving.secrets" . | fromYaml }}
- name: PDX_{{ upper $group }}_KEYS_FILE
  value: /etc/predictiondex/{{ $group }}/keys
{{- end }}
{{- with $values.otlp.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: http/protobuf
- name: OTEL_SERVICE_NAME
  value: {{ $.root.Release.Name | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ toJson $values.otlp.sampleRatio | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ printf "k8s.namespace.name=%s,k8s.pod.name=$(POD_NAME),track=%s" $.root.Release.Namespace $.track | quote }}
{{- end }}
{{- end -}}

{{/* Groups of settings whose keys come from a Secret that exists already; values hold no key. */}}
{{- define "serving.secrets" -}}
{{- range $group := list "auth" "ids" }}
{{- $secret := get $.root.Values $group }}
{{- if $secret.existingSecret }}
{{ $group }}: {{ dict "name" $secret.existingSecret "key" $secret.key | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Folders and no subPath, which would never change; readable by whichever user id the process has. What stable copies to
the canary is mounted in pods of both tracks and of every release, so that a rollout changes no pod of stable.
*/}}
{{- define "serving.volumes" }}
- name: shadow
  configMap:
    name: {{ include "serving.name" (dict "root" .root) | printf "%s-shadow" | quote }}
    defaultMode: 0444
{{- range $group, $secret := include "serving.secrets" . | fromYaml }}
- name: {{ $group }}
  secret:
    secretName: {{ $secret.name | quote }}
    defaultMode: 0444
    items:
      - key: {{ $secret.key | quote }}
        path: keys
{{- end }}
{{- end -}}

{{- define "serving.mounts" }}
- name: shadow
  mountPath: /etc/predictiondex/shadow
  readOnly: true
{{- range $group, $secret := include "serving.secrets" . | fromYaml }}
- name: {{ $group }}
  mountPath: /etc/predictiondex/{{ $group }}
  readOnly: true
{{- end }}
{{- end -}}

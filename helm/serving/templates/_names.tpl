{{/*
Every name begins with the release's: a release is one model, and the 53 characters that Helm allows leave ten of the
63 that a Service's name may have. A track is a dict of root (the chart's context), track, image and autoscaling; what
both tracks share is given without the last three.
*/}}
{{- define "serving.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .root.Release.Name) -}}
{{- fail (printf "The release name %s cannot name a Service: it must begin with a letter and hold no dot." .root.Release.Name) -}}
{{- end -}}
{{- .root.Release.Name -}}
{{- with .track }}-{{ . }}{{ end -}}
{{- end -}}

{{- define "serving.metadata" -}}
name: {{ printf "%s%s" (include "serving.name" .) (.suffix | default "") | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "serving.labels" . | nindent 2 }}
{{- end -}}

{{- define "serving.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .track }}
track: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of pods are part of what a change restarts, so the chart's version is none of them. */}}
{{- define "serving.podLabels" -}}
{{ include "serving.selector" . }}
{{ include "serving.versionLabel" . }}
app.kubernetes.io/component: model-server
app.kubernetes.io/part-of: predictiondex
{{- end -}}

{{- define "serving.labels" -}}
{{ include "serving.selector" . }}
{{- if .image }}
{{ include "serving.versionLabel" . }}
{{- end }}
app.kubernetes.io/component: model-server
app.kubernetes.io/part-of: predictiondex
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The user's labels under those of metadata: root and value, the place of the group of values they stand in. */}}
{{- define "serving.additionalLabels" -}}
{{- $ours := include "serving.labels" (dict "root" .root) | fromYaml -}}
{{- $group := .root.Values -}}
{{- range splitList "." .value }}{{ $group = get $group . }}{{ end -}}
{{- $theirs := $group.additionalLabels -}}
{{- range $name, $_ := $theirs -}}
{{- if hasKey $ours $name -}}
{{- fail (printf "%s.additionalLabels sets %s, which the chart sets: choose another label." $.value $name) -}}
{{- end -}}
{{- end -}}
{{- with $theirs }}{{ toYaml . }}{{ end -}}
{{- end -}}

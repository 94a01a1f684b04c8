{{/*
Every name begins with the release's: root, and suffix or none. What a name has room for differs: CronJobs have 52
characters, since a time is added to it, and a Job's pods add their number. A release name that is too long for its room
is cut, and ends in a digest of the whole.
*/}}
{{- define "training.name" -}}
{{- $release := .root.Release.Name -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $release) -}}
{{- fail (printf "The release name %s cannot name a Service: it must begin with a letter and hold no dot." $release) -}}
{{- end -}}
{{- $suffix := .suffix | default "" -}}
{{- $room := sub (.room | default 63) (len $suffix) | int -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (sub $room 9 | int) $release | trimSuffix "-") (sha256sum $release | trunc 8) -}}
{{- end -}}
{{- $release }}{{ $suffix -}}
{{- end -}}

{{- define "training.metadata" -}}
name: {{ include "training.name" . | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "training.labels" . | nindent 2 }}
{{- end -}}

{{- define "training.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods are part of what a change restarts, so the chart's version is none of them. */}}
{{- define "training.podLabels" -}}
{{ include "training.selector" . }}
{{ include "training.versionLabel" .root.Values }}
app.kubernetes.io/part-of: predictiondex
{{- end -}}

{{- define "training.labels" -}}
{{ include "training.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

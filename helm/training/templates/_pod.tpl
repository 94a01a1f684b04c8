{{/* What pods share: root, component, account and, where a Job's pod may not start anew, restartPolicy. */}}
{{- define "training.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "training.name" (dict "root" .root "suffix" .account) | quote }}
automountServiceAccountToken: false # nothing here asks the API server anything
enableServiceLinks: false
{{- include "training.pullSecrets" . }}
securityContext:
  runAsNonRoot: true
  {{- with $values.podSecurity.runAsUser }}
  runAsUser: {{ int64 . }}
  {{- end }}
  fsGroup: {{ int64 $values.podSecurity.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "training.podMetadata" -}}
labels:
  {{- include "training.podLabels" . | nindent 2 }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What containers share: root and part, whose values say what it may use. */}}
{{- define "training.container" -}}
image: {{ include "training.image" .root.Values | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- include "training.resources" .part | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError # where no sentence was left, the last lines
{{- end -}}

{{/* An empty amount is none. */}}
{{- define "training.resources" -}}
{{- $amounts := dict "requests" dict "limits" dict -}}
{{- range $kind, $kept := $amounts -}}
{{- range $name, $amount := get $.resources $kind -}}
{{- if ne (toString $amount) "" }}{{ $_ := set $kept $name (toString $amount) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $amounts -}}
{{- end -}}

{{/* The folders that can be written, all of them gone with the pod: names, and size of each. */}}
{{- define "training.folders" }}
{{- range .names }}
- name: {{ . }}
  emptyDir:
    sizeLimit: {{ $.size | quote }}
{{- end }}
{{- end -}}

{{/* What Pod Security "restricted" asks, and a file system that cannot be written. */}}
{{- define "serving.podSecurityContext" -}}
runAsNonRoot: true
{{- with .root.Values.podSecurity.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "serving.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Service links would add variables such as PDX_HTTP_PORT for a service named pdx-http, which are settings. */}}
{{- define "serving.isolation" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- end -}}

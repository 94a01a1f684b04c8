{{- define "serving.container" -}}
{{- $values := .root.Values -}}
name: server
image: {{ include "serving.image" . | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
securityContext:
  {{- include "serving.containerSecurityContext" . | nindent 2 }}
ports:
  - name: http
    containerPort: 3000
    protocol: TCP
  - name: grpc
    containerPort: 3001
    protocol: TCP
  - name: admin
    containerPort: 3002
    protocol: TCP
env:
  {{- include "serving.environment" . | nindent 2 }}
{{- include "serving.probes" . }}
resources:
  {{- include "serving.resources" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError # a crash that wrote no sentence shows its last lines
volumeMounts:
  - name: scratch
    mountPath: /tmp
  {{- with include "serving.secretMounts" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
Three questions, all on the admin port. Start-up: is the model loaded? Nothing else is asked before, and a load that
never ends is a new start. Readiness: may requests come now? Liveness: do the REST loop and the gRPC threads still move?
*/}}
{{- define "serving.probes" -}}
{{- $paths := dict "startup" "/readyz" "readiness" "/readyz" "liveness" "/livez" }}
{{- range $name := list "startup" "readiness" "liveness" }}
{{ $name }}Probe:
  httpGet:
    path: {{ get $paths $name }}
    port: admin
  {{- range $key, $number := get $.root.Values.probes $name }}
  {{ $key }}: {{ int64 $number }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* An empty amount is none. */}}
{{- define "serving.resources" -}}
{{- $amounts := dict "requests" dict "limits" dict -}}
{{- range $kind, $kept := $amounts -}}
{{- range $name, $amount := get $.root.Values.resources $kind -}}
{{- if ne (toString $amount) "" }}{{ $_ := set $kept $name (toString $amount) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $amounts -}}
{{- end -}}

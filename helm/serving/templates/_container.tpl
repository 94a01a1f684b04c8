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
  {{- include "serving.mounts" . | trim | nindent 2 }}
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
{{- $limits := .root.Values.resources.limits -}}
{{- range $name, $amount := .root.Values.resources.requests -}}
{{- include "serving.within" (dict "value" (printf "resources.requests.%s" $name) "amount" $amount "limit" (get $limits $name) "bound" (printf "resources.limits.%s" $name)) -}}
{{- end -}}
{{- include "serving.within" (dict "value" "scratchSize" "amount" .root.Values.scratchSize "limit" (get $limits "ephemeral-storage") "bound" "resources.limits.ephemeral-storage") -}}
{{- $amounts := dict "requests" dict "limits" dict -}}
{{- range $kind, $kept := $amounts -}}
{{- range $name, $amount := get $.root.Values.resources $kind -}}
{{- if ne (toString $amount) "" }}{{ $_ := set $kept $name (toString $amount) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $amounts -}}
{{- end -}}

{{/* Refuses an amount that its limit would never let a pod have: value and bound, the names of amount and limit. */}}
{{- define "serving.within" -}}
{{- if and (ne (toString .amount) "") (ne (toString .limit) "") -}}
{{- $amount := include "serving.rules.amount" (dict "quantity" .amount) | float64 -}}
{{- $limit := include "serving.rules.amount" (dict "quantity" .limit) | float64 -}}
{{- if gt $amount $limit -}}
{{- fail (printf "%s is %v, and %s allows %v." .value .amount .bound .limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}

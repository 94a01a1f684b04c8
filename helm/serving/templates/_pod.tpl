{{/* While a change is under way the pods that are about to go do not count for the spread: matchLabelKeys. */}}
{{- define "serving.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "serving.name" (dict "root" .root) | quote }}
{{ include "serving.isolation" . }}
{{- include "serving.pullSecrets" . }}
securityContext:
  {{- include "serving.podSecurityContext" . | nindent 2 }}
terminationGracePeriodSeconds: {{ include "serving.gracePeriod" . }}
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
{{- with $values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ .topologyKey | quote }}
    maxSkew: {{ int64 .maxSkew }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "serving.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
containers:
  - {{ include "serving.container" . | indent 4 | trim }}
volumes:
  - name: scratch
    emptyDir:
      sizeLimit: {{ $values.scratchSize | quote }}
  {{- include "serving.volumes" . | trim | nindent 2 }}
{{- end -}}

{{/*
There is no preStop hook. On SIGTERM the server says at once that it is not ready, sends Connection: close with every
answer and goes on answering for PDX_STOP_DRAIN_SECONDS; a preStop sleep would keep that news from it, and gateways
would go on using their open connections. The 5 s on top are for closing the doors and sending the last traces.
*/}}
{{- define "serving.gracePeriod" -}}
{{- $drain := .root.Values.settings.PDX_STOP_DRAIN_SECONDS -}}
{{- $finish := .root.Values.settings.PDX_STOP_FINISH_SECONDS -}}
{{- $needed := addf $drain $finish 5 | ceil | int64 -}}
{{- $given := int64 .root.Values.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and the server needs %d s to stop: PDX_STOP_DRAIN_SECONDS (%v), PDX_STOP_FINISH_SECONDS (%v) and 5 s to close." $given $needed $drain $finish) -}}
{{- end -}}
{{- $given | default $needed -}}
{{- end -}}

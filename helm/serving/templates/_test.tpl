{{/* The test's pod is no part of the release's Services and of its NetworkPolicy, so it has a name of its own. */}}
{{- define "serving.testLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Not empty where the test can be made: a release that asks for API keys needs one for it. */}}
{{- define "serving.testable" -}}
{{- if and .Values.test.enabled (or (not .Values.auth.existingSecret) .Values.test.existingSecret) }}yes{{ end -}}
{{- end -}}

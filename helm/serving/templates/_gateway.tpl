{{/* Refuses a part whose API the cluster lacks: root, value (what switches it on), api and from (who brings it). */}}
{{- define "serving.requireApi" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s is on, and this cluster has no %s: install %s or switch it off; helm template is told of it by --api-versions." .value .api .from) -}}
{{- end -}}
{{- end -}}

{{/* metadata and spec up to the rules, of HTTPRoute and GRPCRoute: root, value and route. */}}
{{- define "serving.routeHead" -}}
{{- if not .route.parentRefs -}}
{{- fail (printf "%s is on, and %s.parentRefs names no Gateway." .value .at) -}}
{{- end -}}
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  parentRefs:
    {{- range $ref := .route.parentRefs }}
    - group: gateway.networking.k8s.io
      kind: Gateway
      {{- range $key := list "name" "namespace" "sectionName" }}
      {{- with get $ref $key }}
      {{ $key }}: {{ . }}
      {{- end }}
      {{- end }}
      {{- with $ref.port }}
      port: {{ int64 . }}
      {{- end }}
    {{- end }}
  {{- with .route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Every field that the API server would add is here, or each upgrade would see a difference. */}}
{{- define "serving.backendRefs" }}
{{- range .tracks }}
- group: ""
  kind: Service
  name: {{ include "serving.name" . }}
  port: {{ $.port }}
  weight: {{ .weight }}
{{- end }}
{{- end -}}

{{/* Services of port 3001. */}}
{{- define "serving.grpcServices" -}}
- inference.GRPCInferenceService
- grpc.health.v1.Health
- grpc.reflection.v1.ServerReflection
- grpc.reflection.v1alpha.ServerReflection
{{- end -}}

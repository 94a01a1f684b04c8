{{/*
The tracks that run, as JSON: track, image, autoscaling, and weight, the percent of the requests that go there. Whoever
reads them puts root to each. They come from values alone, so that a revision may change who runs (canary.enabled, its
image and numbers of pods) without changing who gets traffic (canary.weight), and the other way round.
*/}}
{{- define "serving.tracks" -}}
{{- $values := .root.Values -}}
{{- $canary := $values.canary -}}
{{- $scaling := $values.autoscaling -}}
{{- $tracks := list -}}
{{- if $canary.enabled -}}
{{- include "serving.requireRoute" . -}}
{{- if gt (int64 $canary.stableMin) (int64 $scaling.max) -}}
{{- fail (printf "canary.stableMin (%d) is more than autoscaling.max (%d)." (int64 $canary.stableMin) (int64 $scaling.max)) -}}
{{- end -}}
{{- $pinned := merge (dict "min" (max (int64 $canary.stableMin) (int64 $scaling.min))) $scaling -}}
{{- $own := merge (dict "at" "canary." "min" $canary.autoscaling.min "max" $canary.autoscaling.max) $scaling -}}
{{- $image := merge (dict "at" "canary." "repository" ($canary.image.repository | default $values.image.repository)) $canary.image -}}
{{- $tracks = list
  (dict "track" "stable" "image" $values.image "autoscaling" $pinned "weight" (sub 100 $canary.weight))
  (dict "track" "canary" "image" $image "autoscaling" $own "weight" (int64 $canary.weight)) -}}
{{- else -}}
{{- if $canary.weight -}}
{{- fail (printf "canary.weight is %d, and no canary runs: set canary.enabled, or the weight to 0." (int64 $canary.weight)) -}}
{{- end -}}
{{- $tracks = list (dict "track" "stable" "image" $values.image "autoscaling" $scaling "weight" 100) -}}
{{- end -}}
{{- toJson $tracks -}}
{{- end -}}

{{/* Refuses a canary that nothing can lead a share of the requests to. */}}
{{- define "serving.requireRoute" -}}
{{- $route := .root.Values.route -}}
{{- $api := "gateway.networking.k8s.io/v1/HTTPRoute" -}}
{{- if not $route.enabled -}}
{{- if .root.Values.ingress.enabled -}}
{{- fail "canary.enabled is on, and an Ingress alone cannot lead a share of the requests to a canary: it needs Gateway API, switched on by route.enabled." -}}
{{- end -}}
{{- fail "canary.enabled is on without route.enabled: only a route of Gateway API leads a share of the requests to a canary." -}}
{{- end -}}
{{- if not (.root.Capabilities.APIVersions.Has $api) -}}
{{- fail (printf "canary.enabled is on, and this cluster has no %s, which alone leads a share of the requests to a canary: install Gateway API or switch it off; helm template is told of it by --api-versions." $api) -}}
{{- end -}}
{{- end -}}

{{/*
The rules of a route come once for users, whose share is the weight's, and before them, where there is such a header, for
testers, who are all led to one track. As JSON, each is the name of that track, or empty for users.
*/}}
{{- define "serving.ways" -}}
{{- $canary := .root.Values.canary -}}
{{- toJson (ternary (list (ternary "canary" "stable" $canary.enabled) "") (list "") (ne $canary.header.value "")) -}}
{{- end -}}

{{/* What a rule asks of the header: root and way. */}}
{{- define "serving.headerMatch" -}}
{{- if .way -}}
headers:
  - type: Exact
    name: x-canary
    value: {{ .root.Values.canary.header.value | quote }}
{{- end -}}
{{- end -}}

{{/* Takes the header from whoever is led by the weight, or pods would count them as testers: root and way. */}}
{{- define "serving.headerFilter" -}}
{{- if and .root.Values.canary.header.value (not .way) -}}
filters:
  - type: RequestHeaderModifier
    requestHeaderModifier:
      remove: [x-canary]
{{- end -}}
{{- end -}}

{{/*
Where a rule leads: root, way and port. Every field that the API server would add is here, or each upgrade would see a
difference.
*/}}
{{- define "serving.backendRefs" -}}
{{- range $track := include "serving.tracks" . | fromJsonArray }}
{{- if or (not $.way) (eq $track.track $.way) }}
- group: ""
  kind: Service
  name: {{ include "serving.name" (dict "root" $.root "track" $track.track) | quote }}
  port: {{ $.port }}
  weight: {{ ternary 100 (int64 $track.weight) (ne $.way "") }}
{{- end }}
{{- end }}
{{- end -}}

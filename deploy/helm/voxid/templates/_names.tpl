{{- define "voxid.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "voxid.selector" -}}
app.kubernetes.io/name: voxid
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "voxid.labels" -}}
{{ include "voxid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

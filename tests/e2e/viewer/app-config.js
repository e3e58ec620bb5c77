// The viewer's configuration for the test: one data source, which viewer_test.py signs for.
window.config = {
  name: "isthmus", routerBasename: "/", extensions: [], modes: [], customizationService: {},
  showStudyList: true, maxNumberOfWebWorkers: 1, showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false, showLoadingIndicator: true, strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: "never" }, defaultDataSourceName: "isthmus",
  dataSources: [{
    namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", sourceName: "isthmus",
    configuration: {
      friendlyName: "Isthmus", name: "isthmus", qidoRoot: "/dicomweb", wadoRoot: "/dicomweb",
      qidoSupportsIncludeField: true, imageRendering: "wadors", thumbnailRendering: "wadors",
      enableStudyLazyLoad: true, supportsFuzzyMatching: true, supportsWildcard: true,
      omitQuotationForMultipartRequest: true, bulkDataURI: { enabled: false },
    },
  }],
};
